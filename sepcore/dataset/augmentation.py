"""Augmentation: apply the changes that were drawn for an example.

Everything works on magnitudes, since the cache holds no phases.
"""

from typing import TYPE_CHECKING

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.examples import Example

if TYPE_CHECKING:
    import tensorflow as tf


def augment(
    mixture: "tf.Tensor",
    stems: "tf.Tensor",
    drawn: Example,
    settings: AugmentationConfig,
    *,
    segment_frames: int,
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Change level, pitch, tempo and channels of one example.

    Args:
        mixture: Linear amplitude, float32 ``(frames, bins, channels)``; of `Example.num_frames` frames.
        stems: float32 ``(stems, frames, bins, channels)``.
        drawn: How far, as tensors.
        settings: What to change.
        segment_frames: Frames of the result.

    Returns:
        Mixture and stems, changed alike; as they were given if all is switched off.
    """
    if settings.gain_db:
        mixture, stems = change_gains(mixture, stems, drawn.gains)
    if settings.time_stretch or settings.pitch_shift:
        mixture = resample(mixture[None], segment_frames, drawn.pitch_factor)[0]
        stems = resample(stems, segment_frames, drawn.pitch_factor)
    if settings.channel_swap:
        mixture, stems = (_reversed_if(drawn.swapped, signals) for signals in (mixture, stems))
    return mixture, stems


def change_gains(mixture: "tf.Tensor", stems: "tf.Tensor", gains: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
    """Multiply each stem by a gain, and the mixture's bins by the resulting change of level.

    A bin of the mixture is scaled by ``sqrt(sum((gain * stem)^2) / sum(stem^2))``: as the total power of the stems
    changes there. So the real mixture keeps how its stems' phases cancel and reinforce each other. Exact where one stem
    sounds alone and where all gains are equal; elsewhere right on average over phases. A bin in which all stems are
    zero stays as it is.

    Args:
        mixture: As of `augment`.
        stems: Likewise.
        gains: Factors, > 0, float32 ``(stems,)``.
    """
    import tensorflow as tf

    power = tf.square(stems)
    before, after = tf.reduce_sum(power, axis=0), tf.tensordot(tf.square(gains), power, 1)
    factor = tf.sqrt(tf.where(before > 0, after / before, 1.0))
    return mixture * factor, stems * tf.reshape(gains, (-1, 1, 1, 1))


def power_sum(stems: "tf.Tensor") -> "tf.Tensor":
    """A mixture of stems that were never mixed: ``sqrt(sum(stem^2))``, without the first axis.

    The magnitude of a real mixture is ``|sum(stem * exp(i * phase))|``. The cache holds no phases; over independent
    ones, this is the root of that power's mean. Real mixtures scatter around it from bin to bin, by interference, from
    near 0 up to the plain sum of the magnitudes; these do not. A network that sees nothing else never learns about
    interference.
    """
    import tensorflow as tf

    return tf.sqrt(tf.reduce_sum(tf.square(stems), axis=0))


def resample(signals: "tf.Tensor", num_frames: int, pitch_factor: "tf.Tensor") -> "tf.Tensor":
    """Stretch spectrograms to another number of frames, and shift their bins.

    Both by bilinear interpolation of magnitudes that leaves the first and last where they are, as in Spleeter. Pitch is
    wholly Spleeter's: F bins become ``int(F * pitch_factor)``, of which the lowest F are kept; where they are fewer,
    zeros follow. Tempo is not: Spleeter stretches T frames to more or fewer, then cuts off what is too much or puts
    silence around what is too little. Here all frames of the result are music, since as many are stretched as it takes.

    Args:
        signals: Magnitudes, float32 ``(signals, frames, bins, channels)``.
        num_frames: Frames of the result.
        pitch_factor: Ratio of the frequencies, > 0, float32 scalar.

    Returns:
        float32 ``(signals, num_frames, bins, channels)``.
    """
    import tensorflow as tf

    num_bins = signals.shape[2]
    shifted_bins = tf.cast(num_bins * pitch_factor, tf.int32)
    size = tf.stack([num_frames, shifted_bins])
    resized = tf.raw_ops.ResizeBilinear(images=signals, size=size, align_corners=True)[:, :, :num_bins]
    return tf.pad(resized, [[0, 0], [0, 0], [0, tf.maximum(num_bins - shifted_bins, 0)], [0, 0]])


def _reversed_if(condition: "tf.Tensor", signals: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.cond(condition, lambda: tf.reverse(signals, [-1]), lambda: signals)
