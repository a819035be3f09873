"""Augmentation: examples varied at random, each in a way that the seed and the example's number alone decide.

Every augmentation draws from random streams of its own: what it draws does not change when another is switched on.
All work on magnitudes, and so without the phases, which the cache does not hold.
"""

from enum import IntEnum, auto
from typing import TYPE_CHECKING

from sepcore.config_dataset import AugmentationConfig

if TYPE_CHECKING:
    import tensorflow as tf

_SEMITONES_PER_OCTAVE = 12


class Draw(IntEnum):
    """The random streams of an example. Another order would make other examples of the same seed."""

    GAIN = auto()
    CHANNEL_SWAP = auto()
    PITCH = auto()
    TEMPO = auto()
    REMIX = auto()
    REMIX_KEPT_STEM = auto()
    REMIX_SONGS = auto()
    REMIX_CHUNKS = auto()
    REMIX_FRAMES = auto()


class ExampleRandom:
    """Random numbers of one training example."""

    def __init__(self, seed: "tf.Tensor", example: "tf.Tensor") -> None:
        """Seed of the run and number of the example, int64 scalars."""
        import tensorflow as tf

        self._seed = tf.stack([seed, example])

    def seed(self, draw: Draw) -> "tf.Tensor":
        """The seed of one stream, for TensorFlow's stateless operations."""
        import tensorflow as tf

        return tf.random.experimental.stateless_fold_in(self._seed, int(draw))

    def uniform(self, draw: Draw, low: float = 0.0, high: float = 1.0, shape: tuple[int, ...] = ()) -> "tf.Tensor":
        """Numbers of one stream, float32, >= ``low`` and < ``high``."""
        import tensorflow as tf

        return tf.random.stateless_uniform(shape, self.seed(draw), low, high)


def augment(
    mixture: "tf.Tensor",
    stems: "tf.Tensor",
    random: ExampleRandom,
    settings: AugmentationConfig,
    *,
    segment_frames: int,
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Change level, pitch, tempo and channels of one example.

    Args:
        mixture: Linear amplitude, float32 ``(frames, bins, channels)``; of `num_source_frames` frames, or fewer where
            the chunk is shorter.
        stems: float32 ``(stems, frames, bins, channels)``.
        random: The example's.
        settings: What to change, and how far.
        segment_frames: Frames of the result.

    Returns:
        Mixture and stems, changed alike; as they were given if all is switched off.
    """
    if settings.gain_db:
        gains_db = random.uniform(Draw.GAIN, -settings.gain_db, settings.gain_db, (stems.shape[0],))
        mixture, stems = change_gains(mixture, stems, 10 ** (gains_db / 20))
    if settings.time_stretch or settings.pitch_shift:
        semitones = random.uniform(Draw.PITCH, -settings.pitch_shift, settings.pitch_shift)
        factor = 2 ** (semitones / _SEMITONES_PER_OCTAVE)
        mixture = resample(mixture[None], segment_frames, factor)[0]
        stems = resample(stems, segment_frames, factor)
    if settings.channel_swap:
        swapped = random.uniform(Draw.CHANNEL_SWAP) < 0.5
        mixture, stems = (_reversed_if(swapped, signals) for signals in (mixture, stems))
    return mixture, stems


def change_gains(mixture: "tf.Tensor", stems: "tf.Tensor", gains: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
    """Multiply each stem by a gain, and the mixture by what that makes of it.

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
    near 0 up to the plain sum of the magnitudes; these do not. A network that sees nothing else never learns about it.
    """
    import tensorflow as tf

    return tf.sqrt(tf.reduce_sum(tf.square(stems), axis=0))


def num_source_frames(random: ExampleRandom, settings: AugmentationConfig, segment_frames: int) -> "tf.Tensor":
    """How many frames of a chunk become the frames of a segment, int64.

    With `time_stretch` the music becomes ``1 - time_stretch`` to ``1 + time_stretch`` times as long.
    """
    import tensorflow as tf

    if not settings.time_stretch:
        return tf.constant(segment_frames, tf.int64)
    factor = random.uniform(Draw.TEMPO, 1 - settings.time_stretch, 1 + settings.time_stretch)
    return tf.cast(tf.round(segment_frames / factor), tf.int64)


def stretched_from(
    first_frame: "tf.Tensor", segment_frames: int, num_frames: "tf.Tensor", available: "tf.Tensor"
) -> "tf.Tensor":
    """First of ``num_frames`` frames that have their middle where a segment has it, as far as the chunk's ends allow.

    So an example stays at its place in the song when time stretch is switched on.

    Args:
        first_frame: The segment's, int64 of any shape.
        segment_frames: The segment's length.
        num_frames: `num_source_frames`, at most ``available``.
        available: Frames of the chunk, int64.
    """
    import tensorflow as tf

    around_the_middle = first_frame - (num_frames - segment_frames) // 2
    return tf.clip_by_value(around_the_middle, 0, available - num_frames)


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
