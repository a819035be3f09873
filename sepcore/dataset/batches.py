"""Batches of segments from the shards; which ones is a function of the seed and the step alone.

Everything in the pipeline is TensorFlow's own: Python functions in it would share one interpreter lock, and keep a
process that ends from ending.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from sepcore.config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.errors import DatasetError

if TYPE_CHECKING:
    import tensorflow as tf

_PREFETCHED_BATCHES = 2
_NEPERS_PER_DB = np.log(10) / 20


def training_batches(index: ChunkIndex, config: ModelConfig, *, first_step: int = 0) -> "tf.data.Dataset":
    """Random segments, without end.

    Args:
        index: The training chunks.
        config: Segment length, batch size and seed.
        first_step: Batches to leave out, >= 0; none of them is read.

    Returns:
        Pairs of float32 magnitudes (linear amplitude): the mixture's ``(batch, T, F, channels)`` and the stems'
        ``(batch, stems, T, F, channels)``. Iterate over `with_chunk_named` of it.
    """
    crops = training_crops(index, config, first_example=first_step * config.batch_size)
    return _batches(crops, index, config)


def validation_batches(index: ChunkIndex, config: ModelConfig) -> "tf.data.Dataset":
    """The middle segment of every chunk, once; as `training_batches`, but the last batch may be smaller."""
    import tensorflow as tf

    middles = [(record.num_frames - config.segment_frames) // 2 for record in index.records]
    crops = tf.data.Dataset.from_tensor_slices((np.arange(len(index)), np.array(middles)))
    return _batches(crops, index, config)


def training_crops(index: ChunkIndex, config: ModelConfig, *, first_example: int = 0) -> "tf.data.Dataset":
    """Where the training examples come from: pairs of a chunk's number in the index and a segment's first frame in it.

    Every epoch takes each chunk once, in a new order, and a segment from a random place of it. What example number i is
    depends on nothing but i and the seed.
    """
    import tensorflow as tf

    num_frames = tf.constant([record.num_frames for record in index.records], tf.int64)
    seed, last_chunk = (tf.constant(value, tf.int64) for value in (config.random_seed, len(index) - 1))

    def crop(example: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        epoch, place = example // len(index), example % len(index)
        chunk = tf.random.experimental.index_shuffle(place, tf.stack([seed, epoch]), last_chunk)
        last_start = num_frames[chunk] - config.segment_frames
        first_frame = tf.random.stateless_uniform([], tf.stack([seed, example]), 0, last_start + 1, tf.int64)
        return chunk, first_frame

    return tf.data.Dataset.range(first_example, np.iinfo(np.int64).max).map(crop)


def with_chunk_named(dataset: "tf.data.Dataset", index: ChunkIndex) -> Iterator[Any]:
    """The elements of a dataset of this module; a chunk that cannot be read comes as DatasetError that names it."""
    import tensorflow as tf

    try:
        yield from dataset
    except tf.errors.OpError:
        check_chunks(index)  # TensorFlow's message does not say which one
        raise


def check_chunks(index: ChunkIndex) -> None:
    """Read every chunk and verify its checksum.

    Raises:
        DatasetError: the first one whose shard is missing or damaged.
    """
    import tensorflow as tf

    for record in index.records:
        path = index.folder / record.shard
        try:
            _read_record(str(path), record.offset)
        except tf.errors.OpError as error:
            fault = "is damaged" if path.exists() else "is missing"
            raise DatasetError(
                f"{path}: chunk {record.chunk} of {record.song!r} {fault}; delete the shard and cache the songs again."
            ) from error


def _read_record(path: Any, offset: Any) -> "tf.Tensor":
    """The serialised Example that starts at a byte of a TFRecord file; its checksum is verified."""
    import tensorflow as tf

    # tf.data.TFRecordDataset reads from a file's start only; the operation beneath it takes an offset. Unbuffered: the
    # record is read in one go and nothing behind it.
    variant = tf.raw_ops.TFRecordDatasetV2(filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset])
    records = tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string))
    return records.take(1).get_single_element()


def _segment_reader(index: ChunkIndex, config: ModelConfig) -> Callable[..., tuple["tf.Tensor", "tf.Tensor"]]:
    import tensorflow as tf

    num_signals, frame_shape = 1 + len(config.instruments), (config.num_bins, config.num_channels)
    frame_bytes = config.num_bins * config.num_channels
    shards = tf.constant([str(index.folder / record.shard) for record in index.records])
    offsets = tf.constant([record.offset for record in index.records], tf.int64)
    features = {
        "codes": tf.io.FixedLenFeature([num_signals], tf.string),
        "min_db": tf.io.FixedLenFeature([num_signals, 1, 1, 1], tf.float32),
        "max_db": tf.io.FixedLenFeature([num_signals, 1, 1, 1], tf.float32),
    }

    def read(chunk: "tf.Tensor", first_frame: "tf.Tensor") -> tuple["tf.Tensor", "tf.Tensor"]:
        example = tf.io.parse_single_example(_read_record(shards[chunk], offsets[chunk]), features)
        # Cut before decoding: a chunk is longer than the segment, and its magnitudes are four times the codes.
        cut = tf.strings.substr(example["codes"], first_frame * frame_bytes, config.segment_frames * frame_bytes)
        codes = tf.reshape(tf.io.decode_raw(cut, tf.uint8), (num_signals, config.segment_frames, *frame_shape))
        # quantisation.decode in TensorFlow.
        nepers_per_code = (example["max_db"] - example["min_db"]) * (_NEPERS_PER_DB / 255)
        magnitudes = tf.exp(tf.cast(codes, tf.float32) * nepers_per_code + example["min_db"] * _NEPERS_PER_DB)
        return magnitudes[0], magnitudes[1:]

    return read


def _batches(crops: "tf.data.Dataset", index: ChunkIndex, config: ModelConfig) -> "tf.data.Dataset":
    import tensorflow as tf

    segments = crops.map(_segment_reader(index, config), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return segments.batch(config.batch_size).prefetch(_PREFETCHED_BATCHES)
