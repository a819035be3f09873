"""Batches of segments from the shards: each example read, and changed, as was drawn for it."""

import re
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augmentation import augment, power_sum
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.maintenance import read_chunk
from sepcore.dataset.examples import Example, TrainingExamples
from sepcore.dataset.segments import UNREADABLE, segment_reader

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 2
# Of the example's number, counted from the first of the training or of the validation set.
_ExampleReader = Callable[["tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


def training_batches(index: ChunkIndex, config: ModelConfig, *, first_step: int = 0) -> "tf.data.Dataset":
    """Random segments, augmented as the config says, without end; see `TrainingExamples`.

    Args:
        index: The training chunks.
        config: Segment length, batch size, seed and augmentation.
        first_step: Batches to leave out, >= 0; none of them is read.

    Returns:
        Pairs of float32 magnitudes (linear amplitude): the mixture's ``(batch, T, F, channels)`` and the stems'
        ``(batch, stems, T, F, channels)``. Iterate over it through `with_chunk_named`.
    """
    import tensorflow as tf

    numbers = tf.data.Dataset.range(first_step * config.batch_size, np.iinfo(np.int64).max)
    return _batches(numbers, _training_reader(index, config), config)


def validation_batches(index: ChunkIndex, config: ModelConfig) -> "tf.data.Dataset":
    """The middle segment of every chunk, once, unvaried; as `training_batches`, but the last batch may be smaller."""
    import tensorflow as tf

    read, num_frames = segment_reader(index, config), tf.constant(index.num_frames, tf.int64)

    def middle(chunk: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        first_frame = (num_frames[chunk] - config.segment_frames) // 2
        signals = read(chunk, first_frame, tf.constant(config.segment_frames, tf.int64))
        return _with_shapes(signals[0], signals[1:], config)

    return _batches(tf.data.Dataset.range(len(index)), middle, config)


def with_chunk_named(dataset: "tf.data.Dataset", index: ChunkIndex) -> Iterator[Any]:
    """The elements of a dataset of this module; a chunk that cannot be read comes as DatasetError that names it.

    Reading stops when this iterator is closed or dropped, or the process ends. A bare ``iter(dataset)`` that is
    abandoned may keep the process from ending, or abort it, because Python functions run in it.
    """
    iterators = [iter(dataset)]
    elements = _elements(iterators, index)
    # At exit too, before Python shuts down: Python functions of a pipeline that is still running would never return.
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
            signals = read(drawn.chunks[0], drawn.first_frames[0], drawn.num_frames)
            return signals[0], signals[1:]

        def of_several_chunks() -> tuple["tf.Tensor", "tf.Tensor"]:
            places = zip(tf.unstack(drawn.chunks, num_stems), tf.unstack(drawn.first_frames, num_stems), strict=True)
            read_stems = [read(*place, drawn.num_frames, stem=stem) for stem, place in enumerate(places)]
            stems = tf.concat(read_stems, axis=0)
            return power_sum(stems), stems

        mixture, stems = tf.cond(drawn.remixed, of_several_chunks, of_one_chunk) if settings.remix else of_one_chunk()
        mixture, stems = augment(mixture, stems, drawn, settings, segment_frames=config.segment_frames)
        return _with_shapes(mixture, stems, config)

    return read_example


def _drawn(examples: TrainingExamples, config: ModelConfig) -> Callable[["tf.Tensor"], Example]:
    """A pipeline operation that draws the example of a number."""
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
