"""Batches of segments from the shards; which ones, and how they are varied, the seed and the step alone decide."""

import re
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sepcore.config import ModelConfig
from sepcore.config_dataset import AugmentationConfig
from sepcore.dataset.augmentation import Draw, ExampleRandom, augment, num_source_frames, power_sum, stretched_from
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.verify import read_chunk
from sepcore.dataset.remixing import remixed_stems_reader
from sepcore.dataset.segments import UNREADABLE, segment_reader

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 2
# Of the example's number, its chunk and its segment's first frame there.
_ExampleReader = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor"], tuple["tf.Tensor", "tf.Tensor"]]


def training_batches(index: ChunkIndex, config: ModelConfig, *, first_step: int = 0) -> "tf.data.Dataset":
    """Random segments, augmented as the config says, without end.

    Args:
        index: The training chunks.
        config: Segment length, batch size, seed and augmentation.
        first_step: Batches to leave out, >= 0; none of them is read.

    Returns:
        Pairs of float32 magnitudes (linear amplitude): the mixture's ``(batch, T, F, channels)`` and the stems'
        ``(batch, stems, T, F, channels)``. Iterate over `with_chunk_named` of it.
    """
    crops = training_crops(index, config, first_example=first_step * config.batch_size)
    return _batches(crops, _example_reader(index, config, config.augmentation), config)


def validation_batches(index: ChunkIndex, config: ModelConfig) -> "tf.data.Dataset":
    """The middle segment of every chunk, once, as it is; as `training_batches`, but the last batch may be smaller."""
    import tensorflow as tf

    num_frames = tf.constant(index.num_frames)

    def middle(chunk: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]:
        return chunk, chunk, (tf.cast(num_frames[chunk], tf.int64) - config.segment_frames) // 2

    crops = tf.data.Dataset.range(len(index)).map(middle)
    return _batches(crops, _example_reader(index, config, AugmentationConfig()), config)


def training_crops(index: ChunkIndex, config: ModelConfig, *, first_example: int = 0) -> "tf.data.Dataset":
    """Where the training examples come from: an example's number, a chunk's, and a segment's first frame in it.

    Every epoch takes each chunk once, in a new order, and a segment from a random place of it. What example number i is
    depends on nothing but i and the seed.
    """
    import tensorflow as tf

    num_frames = tf.constant(index.num_frames)
    seed, last_chunk = (tf.constant(value, tf.int64) for value in (config.random_seed, len(index) - 1))

    def crop(example: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]:
        epoch, place = example // len(index), example % len(index)
        chunk = tf.random.experimental.index_shuffle(place, tf.stack([seed, epoch]), last_chunk)
        last_start = tf.cast(num_frames[chunk], tf.int64) - config.segment_frames
        first_frame = tf.random.stateless_uniform([], tf.stack([seed, example]), 0, last_start + 1, tf.int64)
        return example, chunk, first_frame

    return tf.data.Dataset.range(first_example, np.iinfo(np.int64).max).map(crop)


def with_chunk_named(dataset: "tf.data.Dataset", index: ChunkIndex) -> Iterator[Any]:
    """The elements of a dataset of this module; a chunk that cannot be read comes as DatasetError that names it.

    Reading stops when this iterator is closed or dropped, or the process ends. A bare ``iter(dataset)`` of Parquet
    shards that is abandoned may keep the process from ending, or abort it.
    """
    iterators = [iter(dataset)]
    elements = _elements(iterators, index)
    # At exit too, before Python shuts down: its functions in a pipeline that still ran then would never come back.
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
            read_chunk(index.folder, index.record(int(number[1])))  # raises what says more
        raise
    finally:
        iterators.clear()


def _example_reader(index: ChunkIndex, config: ModelConfig, augmentation: AugmentationConfig) -> _ExampleReader:
    import tensorflow as tf

    read, segment_frames = segment_reader(index, config), config.segment_frames
    read_remixed = remixed_stems_reader(read, index, config)
    seed, num_frames = tf.constant(config.random_seed, tf.int64), tf.constant(index.num_frames)
    stems_shape = (len(config.instruments), segment_frames, config.num_bins, config.num_channels)

    def read_example(
        example: "tf.Tensor", chunk: "tf.Tensor", first_frame: "tf.Tensor"
    ) -> tuple["tf.Tensor", "tf.Tensor"]:
        random = ExampleRandom(seed, example)
        wanted = num_source_frames(random, augmentation, segment_frames)

        def of_one_song() -> tuple["tf.Tensor", "tf.Tensor"]:
            available = tf.cast(num_frames[chunk], tf.int64)
            frames = tf.minimum(wanted, available)
            signals = read(chunk, stretched_from(first_frame, segment_frames, frames, available), frames)
            return signals[0], signals[1:]

        def of_several_songs() -> tuple["tf.Tensor", "tf.Tensor"]:
            stems = read_remixed(random, chunk, first_frame, wanted)
            return power_sum(stems), stems

        if augmentation.remix:
            mixture, stems = tf.cond(random.uniform(Draw.REMIX) < augmentation.remix, of_several_songs, of_one_song)
        else:
            mixture, stems = of_one_song()
        mixture, stems = augment(mixture, stems, random, augmentation, segment_frames=segment_frames)
        return tf.ensure_shape(mixture, stems_shape[1:]), tf.ensure_shape(stems, stems_shape)

    return read_example


def _batches(crops: "tf.data.Dataset", read_example: _ExampleReader, config: ModelConfig) -> "tf.data.Dataset":
    import tensorflow as tf

    examples = crops.map(read_example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(config.batch_size).prefetch(_PREFETCHED_BATCHES)
