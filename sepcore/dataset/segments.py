"""Read segments from the shards and decode them, as operations of a `tf.data` pipeline."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.byte_range import ByteRange
from sepcore.dataset.cache.chunks import FLOAT16_PEAK
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.parquet import code_columns

if TYPE_CHECKING:
    import tensorflow as tf

UNREADABLE = "number of the unreadable chunk"
"""Part of the message of a pipeline's error about an unreadable chunk, followed by its ``[number]``."""
_NEPERS_PER_DB = np.log(10) / 20
_HIGHEST_CODE = 255
# Codes, min_db and max_db of some signals, by the shard's path, chunk, first frame, number of frames and signals.
_CodeReader = Callable[
    ["tf.Tensor", "tf.Tensor", "tf.Tensor", "tf.Tensor", slice], tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]
]


ReadSegment = Callable[["tf.Tensor", "tf.Tensor", "tf.Tensor", int | None], "tf.Tensor"]
"""Reads some frames of a chunk, by the chunk's number in the index, the first frame and the number of frames (int64).

It returns the mixture and all stems, or only the stem of a number: linear amplitude, float32 ``(signals, frames, bins,
channels)``. A missing or damaged chunk is an error whose message has `UNREADABLE`.
"""


def segment_reader(index: ChunkIndex, config: ModelConfig) -> ReadSegment:
    """Make a reader of the index's chunks that verifies their checksums.

    TFRecord files are read by TensorFlow operations, Parquet files by a Python function in the pipeline.
    """
    import tensorflow as tf

    frame_shape = (config.num_bins, config.num_channels)
    shards, shard = tf.constant(index.shard_paths), tf.constant(index.shard)
    read_codes = {"tfrecord": _tfrecord_reader, "parquet": _parquet_reader}[index.cache_format](index, config)

    def read(chunk: "tf.Tensor", first_frame: "tf.Tensor", num_frames: "tf.Tensor", stem: int | None) -> "tf.Tensor":
        first, last = (0, 1 + len(config.instruments)) if stem is None else (1 + stem, 2 + stem)
        codes, min_db, max_db = read_codes(shards[shard[chunk]], chunk, first_frame, num_frames, slice(first, last))
        codes = tf.reshape(codes, (last - first, num_frames, *frame_shape))
        scales = (last - first, 1, 1, 1)
        return _decode(codes, tf.reshape(min_db, scales), tf.reshape(max_db, scales))

    return read


def _decode(codes: "tf.Tensor", min_db: "tf.Tensor", max_db: "tf.Tensor") -> "tf.Tensor":
    """`chunks.decode` in TensorFlow."""
    import tensorflow as tf

    values = tf.cast(codes, tf.float32)
    if codes.dtype == tf.float16:
        return values * (tf.exp(max_db * _NEPERS_PER_DB) / FLOAT16_PEAK)
    nepers_per_code = (max_db - min_db) * (_NEPERS_PER_DB / _HIGHEST_CODE)
    return tf.exp(values * nepers_per_code + min_db * _NEPERS_PER_DB)


def _tfrecord_reader(index: ChunkIndex, config: ModelConfig) -> _CodeReader:
    import tensorflow as tf

    num_signals = 1 + len(config.instruments)
    offsets, dtype = tf.constant(index.offset), tf.as_dtype(index.cache_dtype)
    frame_bytes = config.num_bins * config.num_channels * dtype.size
    features = {
        "codes": tf.io.FixedLenFeature([num_signals], tf.string),
        "min_db": tf.io.FixedLenFeature([num_signals], tf.float32),
        "max_db": tf.io.FixedLenFeature([num_signals], tf.float32),
    }

    def read(
        path: "tf.Tensor", chunk: "tf.Tensor", first_frame: "tf.Tensor", num_frames: "tf.Tensor", signals: slice
    ) -> tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]:
        record = _record(path, offsets[chunk])
        with _readable(tf.strings.length(record) > 0, chunk):
            example = tf.io.parse_single_example(record, features)
        # Cut before decoding: a chunk is longer than a segment, and magnitudes are four times as large as codes.
        cut = tf.strings.substr(example["codes"][signals], first_frame * frame_bytes, num_frames * frame_bytes)
        return tf.io.decode_raw(cut, dtype), example["min_db"][signals], example["max_db"][signals]

    return read


def _record(path: "tf.Tensor", offset: "tf.Tensor") -> "tf.Tensor":
    """The serialized Example at an offset of a TFRecord file; empty if it or its checksum is wrong."""
    import tensorflow as tf

    def first_record(path: "tf.Tensor", offset: "tf.Tensor") -> "tf.Tensor":
        # tf.data.TFRecordDataset reads only from a file's start; the operation below it takes an offset. Unbuffered, so
        # that only this record is read, in one go.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[path], compression_type="", buffer_size=0, byte_offsets=[offset]
        )
        return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1).get_single_element()

    # TensorFlow's errors do not name the chunk. They are ignored in a map of one element: after an ignored error,
    # TFRecordDataset itself would try a missing file again and again.
    records = tf.data.Dataset.from_tensors((path, offset)).map(first_record).ignore_errors()
    return records.concatenate(tf.data.Dataset.from_tensors("")).take(1).get_single_element()


def _parquet_reader(index: ChunkIndex, config: ModelConfig) -> _CodeReader:
    import tensorflow as tf

    columns, dtype = code_columns(config.instruments), np.dtype(index.cache_dtype)
    of_chunks = [tf.constant(values) for values in (index.chunk, index.offset, index.num_bytes, index.checksum)]
    frame_values = config.num_bins * config.num_channels

    def read(
        path: "tf.Tensor", chunk: "tf.Tensor", first_frame: "tf.Tensor", num_frames: "tf.Tensor", signals: slice
    ) -> tuple["tf.Tensor", "tf.Tensor", "tf.Tensor"]:
        # Stateless: TensorFlow may read several chunks at once.
        codes, min_db, max_db = tf.numpy_function(
            partial(_parquet_codes, columns=columns, signals=signals, dtype=dtype),
            [path, first_frame * frame_values, num_frames * frame_values, *(tf.gather(of, chunk) for of in of_chunks)],
            (dtype, tf.float32, tf.float32),
            stateful=False,
        )
        with _readable(tf.size(codes) > 0, chunk):
            return tf.identity(codes), tf.identity(min_db), tf.identity(max_db)

    return read


def _parquet_codes(
    path: bytes,
    first: int,
    count: int,
    row_group: int,
    offset: int,
    num_bytes: int,
    checksum: int,
    *,
    columns: list[str],
    signals: slice,
    dtype: np.dtype[Any],
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
    """Codes ``(signals, count)``, min_db and max_db; empty if the row group or its checksum is wrong."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    unreadable = np.empty(0, dtype), np.empty(0, np.float32), np.empty(0, np.float32)
    try:
        with Path(path.decode()).open("rb") as shard:
            if ByteRange(offset, num_bytes, checksum).read_from(shard) is None:
                return unreadable
            names = ["min_db", "max_db", *columns[signals]]
            row = pq.ParquetFile(shard).read_row_group(int(row_group), columns=names, use_threads=False)
        min_db, max_db = (np.array(row[name][0].as_py(), np.float32)[signals] for name in names[:2])
        values = [np.frombuffer(row[name][0].as_buffer(), dtype)[first : first + count] for name in names[2:]]
        return np.stack(values), min_db, max_db
    # All of these occurred after bits were flipped in the file's list of row groups.
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return unreadable


def _readable(condition: "tf.Tensor", chunk: "tf.Tensor") -> Any:
    """A context in which operations run only if a chunk could be read."""
    import tensorflow as tf

    return tf.control_dependencies([tf.debugging.Assert(condition, [UNREADABLE, chunk])])
