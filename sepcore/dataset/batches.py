"""Batches of segments from the shards: each example is read and augmented as was drawn for it."""

import re
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sepcore.config.dataset import AugmentationConfig
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.examples import Example, TrainingExamples
from sepcore.dataset.segments import UNREADABLE, segment_reader

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 2
# Mixture and stems of an example, by its number in the training run or the validation set.
_ExampleReader = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


def training_batches(index: ChunkIndex, config: ModelConfig, *, first_step: int = 0) -> "tf.data.Dataset":
    """Endless random segments, augmented, see `TrainingExamples`; iterate over them through `with_chunk_named`.

    Args:
        index: The training chunks.
        config: Segment length, batch size, seed and augmentation.
        first_step: Batches to skip, >= 0; they are not read.

    Returns:
        Pairs of float32 magnitudes (linear amplitude): the mixture's ``(batch, T, F, channels)`` and the stems'
        ``(batch, stems, T, F, channels)``.
    """
    import tensorflow as tf

    numbers = tf.data.Dataset.range(first_step * config.batch_size, np.iinfo(np.int64).max)
    return _batches(numbers, _training_reader(index, config), config)


def validation_batches(index: ChunkIndex, config: ModelConfig) -> "tf.data.Dataset":
    """The middle segment of every chunk, not augmented, as from `training_batches`; the last batch may be smaller."""
    import tensorflow as tf

    read, num_frames = segment_reader(index, config), tf.constant(index.length, tf.int64)

    def middle(chunk: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        first_frame = (num_frames[chunk] - config.segment_frames) // 2
        signals = read(chunk, first_frame, tf.constant(config.segment_frames, tf.int64), None)
        return _with_shapes(signals[0], signals[1:], config)

    return _batches(tf.data.Dataset.range(len(index)), middle, config)


def with_chunk_named(dataset: "tf.data.Dataset", index: ChunkIndex) -> Iterator[Any]:
    """The elements of a dataset of this module; a chunk that cannot be read is a DatasetError that names it.

    Reading stops when this iterator is closed or dropped, or at exit. An abandoned ``iter(dataset)`` may hang or abort
    the process, because it runs Python functions.
    """
    iterators = [iter(dataset)]
    elements = _elements(iterators, index)
    # Also at exit, before Python shuts down: the Python functions of a running pipeline would never return.
    weakref.finalize(elements, iterators.clear)
    return elements


def _elements(iterators: list[Any], index: ChunkIndex) -> Generator[Any, None, None]:
    import tensorflow as tf

    try:
        # The list holds the only reference, so that emptying it stops the iterator.
        while iterators and (element := next(iterators[0], None)) is not None:
            yield element
    except tf.errors.OpError as error:
        if number := re.search(rf"{UNREADABLE}\] \[(\d+)\]", error.message):
            read_chunk(index, int(number[1]))  # raises an error that says more
        raise
    finally:
        iterators.clear()


def _training_reader(index: ChunkIndex, config: ModelConfig) -> _ExampleReader:
    import tensorflow as tf

    read, settings, num_stems = segment_reader(index, config), config.augmentation, len(config.instruments)
    draw = _drawn(TrainingExamples(index, config), config)

    def read_example(number: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        drawn = draw(number)

        def of_one_chunk() -> tuple["tf.Tensor", "tf.Tensor"]:
            signals = read(drawn.chunks[0], drawn.first_frames[0], drawn.num_frames, None)
            return signals[0], signals[1:]

        def of_several_chunks() -> tuple["tf.Tensor", "tf.Tensor"]:
            places = zip(tf.unstack(drawn.chunks, num_stems), tf.unstack(drawn.first_frames, num_stems), strict=True)
            read_stems = [read(*place, drawn.num_frames, stem) for stem, place in enumerate(places)]
            stems = tf.concat(read_stems, axis=0)
            return power_sum(stems), stems

        mixture, stems = tf.cond(drawn.remixed, of_several_chunks, of_one_chunk) if settings.remix else of_one_chunk()
        mixture, stems = augment(mixture, stems, drawn, settings, segment_frames=config.segment_frames)
        return _with_shapes(mixture, stems, config)

    return read_example


def _drawn(examples: TrainingExamples, config: ModelConfig) -> Callable[["tf.Tensor"], Example]:
    import tensorflow as tf

    per_stem = (len(config.instruments),)
    specs = Example(
        chunks=(tf.int64, per_stem),
        first_frames=(tf.int64, per_stem),
        num_frames=(tf.int64, ()),
        remixed=(tf.bool, ()),
        gains=(tf.float32, per_stem),
        pitch_factor=(tf.float32, ()),
        swapped=(tf.bool, ()),
    )

    def of_number(number: Any) -> Example:
        return examples.example(*divmod(int(number), config.batch_size))

    def draw(number: "tf.Tensor") -> Example:
        # Stateless: TensorFlow may draw several examples at once.
        values = tf.numpy_function(of_number, [number], [dtype for dtype, _ in specs], stateful=False)
        return Example(*(tf.ensure_shape(value, shape) for value, (_, shape) in zip(values, specs, strict=True)))

    return draw


def _with_shapes(mixture: "tf.Tensor", stems: "tf.Tensor", config: ModelConfig) -> tuple["tf.Tensor", "tf.Tensor"]:
    import tensorflow as tf

    shape = (config.segment_frames, config.num_bins, config.num_channels)
    return tf.ensure_shape(mixture, shape), tf.ensure_shape(stems, (len(config.instruments), *shape))


def _batches(numbers: "tf.data.Dataset", read_example: _ExampleReader, config: ModelConfig) -> "tf.data.Dataset":
    import tensorflow as tf

    examples = numbers.map(read_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(config.batch_size).prefetch(_PREFETCHED_BATCHES)


def augment(
    mixture: "tf.Tensor",
    stems: "tf.Tensor",
    drawn: Example,
    settings: AugmentationConfig,
    *,
    segment_frames: int,
) -> tuple["tf.Tensor", "tf.Tensor"]:
    """Change level, pitch, tempo and channels of one example's magnitudes; the cache holds no phases.

    Args:
        mixture: Linear amplitude, float32 ``(frames, bins, channels)``, with `Example.num_frames` frames.
        stems: float32 ``(stems, frames, bins, channels)``.
        drawn: What was drawn, as tensors.
        settings: What to change.
        segment_frames: Frames of the result.
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

    A bin of the mixture is scaled by ``sqrt(sum((gain * stem)^2) / sum(stem^2))``, as the total power of the stems
    changes, so the mixture keeps the interference of its stems. This is exact where one stem sounds alone and where all
    gains are equal, and else right on average over phases. Bins in which all stems are zero stay unchanged.

    Args:
        mixture: As for `augment`.
        stems: As for `augment`.
        gains: Factors, > 0, float32 ``(stems,)``.
    """
    import tensorflow as tf

    power = tf.square(stems)
    before, after = tf.reduce_sum(power, axis=0), tf.tensordot(tf.square(gains), power, 1)
    factor = tf.sqrt(tf.where(before > 0, after / before, 1.0))
    return mixture * factor, stems * tf.reshape(gains, (-1, 1, 1, 1))


def power_sum(stems: "tf.Tensor") -> "tf.Tensor":
    """A mixture of stems that were never mixed: ``sqrt(sum(stem^2))``, without the first axis.

    It is the root mean square of ``|sum(stem * exp(i * phase))|`` over independent phases. Real mixtures scatter around
    it by interference, from near 0 up to the sum of the magnitudes: a network that sees only these mixtures never
    learns about interference.
    """
    import tensorflow as tf

    return tf.sqrt(tf.reduce_sum(tf.square(stems), axis=0))


def resample(signals: "tf.Tensor", num_frames: int, pitch_factor: "tf.Tensor") -> "tf.Tensor":
    """Stretch spectrograms to another number of frames, and shift their bins.

    Both by bilinear interpolation of magnitudes with fixed ends, as in Spleeter. Pitch is the same as in Spleeter: F
    bins become ``int(F * pitch_factor)``, of which the lowest F are kept; if they are fewer, zeros follow. Tempo is
    not: Spleeter stretches T frames to more or fewer, then cuts or pads them; here the result has no padding.

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
