"""The file formats of shards: TFRecord and Parquet, written and read without TensorFlow, whose import takes seconds."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from sepcore.dataset.cache.chunks import Chunk, Signal
from sepcore.dataset.cache.index import chunk_schema

if TYPE_CHECKING:
    import pyarrow as pa

# The content follows its length and that number's checksum, and is followed by its own checksum.
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
# The messages of TensorFlow's example.proto and feature.proto that are needed here.
_EXAMPLE_PROTO = """
name: "example.proto" package: "tensorflow" syntax: "proto3"
message_type { name: "BytesList" field { name: "value" number: 1 type: TYPE_BYTES label: LABEL_REPEATED } }
message_type { name: "FloatList" field { name: "value" number: 1 type: TYPE_FLOAT label: LABEL_REPEATED } }
message_type { name: "Int64List" field { name: "value" number: 1 type: TYPE_INT64 label: LABEL_REPEATED } }
message_type {
  name: "Feature" oneof_decl { name: "kind" }
  field { name: "bytes_list" number: 1 type: TYPE_MESSAGE type_name: ".tensorflow.BytesList" oneof_index: 0 }
  field { name: "float_list" number: 2 type: TYPE_MESSAGE type_name: ".tensorflow.FloatList" oneof_index: 0 }
  field { name: "int64_list" number: 3 type: TYPE_MESSAGE type_name: ".tensorflow.Int64List" oneof_index: 0 }
}
message_type {
  name: "Features"
  field {
    name: "feature" number: 1 type: TYPE_MESSAGE label: LABEL_REPEATED type_name: ".tensorflow.Features.FeatureEntry"
  }
  nested_type {
    name: "FeatureEntry" options { map_entry: true }
    field { name: "key" number: 1 type: TYPE_STRING }
    field { name: "value" number: 2 type: TYPE_MESSAGE type_name: ".tensorflow.Feature" }
  }
}
message_type {
  name: "Example" field { name: "features" number: 1 type: TYPE_MESSAGE type_name: ".tensorflow.Features" }
}
"""
FRAMING_BYTES = _LENGTH.size + 2 * _CHECKSUM.size
"""What TFRecord adds to each record."""


@dataclass(frozen=True)
class ByteRange:
    """Where a chunk is in its shard, and the CRC-32C of these bytes."""

    offset: int
    num_bytes: int
    checksum: int

    @property
    def end(self) -> int:
        """The first byte after the chunk."""
        return self.offset + self.num_bytes

    def read_from(self, file: BinaryIO) -> bytes | None:
        """The chunk's bytes; None if they are incomplete or do not match the checksum."""
        file.seek(self.offset)
        content = file.read(self.num_bytes)
        return content if google_crc32c.value(content) == self.checksum else None


def write_tfrecord(file: BinaryIO, chunks: Iterable[Chunk], instruments: Sequence[str]) -> list[ByteRange]:
    """Write each chunk as a `tf.train.Example`, and return where they are; the same chunks give the same bytes.

    The features: the names of the ``signals`` (``mixture`` first), their ``codes`` (one string each), ``min_db`` and
    ``max_db``, and the ``shape`` (frames, bins, channels) of each; for float16 codes, little-endian, also ``dtype``.
    """
    ranges: list[ByteRange] = []
    for chunk in chunks:
        example = serialize(chunk, instruments)
        header = _LENGTH.pack(len(example)) + _CHECKSUM.pack(_masked_crc(_LENGTH.pack(len(example))))
        checksum = 0
        for part in (header, example, _CHECKSUM.pack(_masked_crc(example))):
            file.write(part)
            checksum = google_crc32c.extend(checksum, part)
        ranges.append(ByteRange(ranges[-1].end if ranges else 0, len(example) + FRAMING_BYTES, checksum))
    return ranges


def parse_record(record: bytes) -> tuple[Signal, ...]:
    """The signals of a chunk from its verified bytes in the file, framing included."""
    example = _message_class("Example")()
    example.ParseFromString(record[_LENGTH.size + _CHECKSUM.size : -_CHECKSUM.size])
    features = example.features.feature
    dtype = "<f2" if features["dtype"].bytes_list.value else "u1"
    shape = tuple(features["shape"].int64_list.value)
    fields = (features["codes"].bytes_list, features["min_db"].float_list, features["max_db"].float_list)
    return tuple(
        Signal(np.frombuffer(codes, dtype).reshape(shape), min_db, max_db)
        for codes, min_db, max_db in zip(*(field.value for field in fields), strict=True)
    )


def _masked_crc(content: bytes) -> int:
    """CRC-32C as TFRecord stores it: rotated and offset, since data may contain checksums too."""
    checksum: int = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def serialize(chunk: Chunk, instruments: Sequence[str]) -> bytes:
    """A chunk as a `tf.train.Example`, see `write_tfrecord`."""
    example = _message_class("Example")()
    feature = example.features.feature
    codes = [signal.codes for signal in chunk.signals]
    feature["signals"].bytes_list.value.extend(name.encode() for name in ("mixture", *instruments))
    feature["codes"].bytes_list.value.extend(code.tobytes() for code in codes)
    feature["shape"].int64_list.value.extend(codes[0].shape)
    feature["min_db"].float_list.value.extend(signal.min_db for signal in chunk.signals)
    feature["max_db"].float_list.value.extend(signal.max_db for signal in chunk.signals)
    if codes[0].dtype != np.uint8:
        feature["dtype"].bytes_list.value.append(codes[0].dtype.name.encode())
    # Protocol buffers promise no order of a map's keys otherwise.
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


@cache
def _message_class(name: str) -> Any:
    # In a separate pool: TensorFlow may define the same messages in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_EXAMPLE_PROTO, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.{name}"))


def code_columns(instruments: Sequence[str]) -> list[str]:
    """The columns that hold the codes of the mixture and of each instrument."""
    # The prefix keeps an instrument that is called "chunk" apart from the column of that name.
    return ["mixture", *(f"stem_{instrument}" for instrument in instruments)]


def write_parquet(
    file: BinaryIO, chunks: Iterable[Chunk], instruments: Sequence[str], *, length_s: float
) -> list[ByteRange]:
    """Write each chunk as a row in a row group of its own, and return where they are; the same chunks, the same bytes.

    A row holds ``chunk`` (its number), ``start_s``, ``length_s``, ``num_frames``, ``num_bins``, ``num_channels``,
    ``dtype`` (of the codes: uint8, or little-endian float16), the lists ``min_db`` and ``max_db``, and the codes of the
    mixture and of each instrument as bytes, in the order frames, bins, channels.

    The file must be open for reading, too. The row groups cover all of it, so that every byte has a checksum.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(instruments)
    ranges: list[ByteRange] = []
    # Dictionaries and statistics would be useless: no two chunks have the same codes.
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False, write_statistics=False) as writer:
        for chunk in chunks:
            writer.write_table(pa.Table.from_pylist([_row(chunk, instruments, length_s)], schema))
            ranges.append(_written_from(file, ranges[-1].end if ranges else 0))
    if ranges:
        ranges[-1] = _written_from(file, ranges[-1].offset)
    return ranges


def read_row(path: Path, chunk: int, instruments: Sequence[str]) -> tuple[Signal, ...]:
    """The signals of a chunk, by its number in the shard."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        (row,) = file.read_row_group(chunk).to_pylist()
    shape = (row["num_frames"], row["num_bins"], row["num_channels"])
    dtype = np.dtype(row["dtype"]).newbyteorder("<")
    return tuple(
        Signal(np.frombuffer(row[name], dtype).reshape(shape), min_db, max_db)
        for name, min_db, max_db in zip(code_columns(instruments), row["min_db"], row["max_db"], strict=True)
    )


def _schema(instruments: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    places, ranges = ("chunk", "start_s", "length_s", "num_frames"), ("min_db", "max_db")
    fields = [chunk_schema().field(name) for name in places]
    fields += [pa.field("num_bins", pa.int32()), pa.field("num_channels", pa.int32()), pa.field("dtype", pa.string())]
    fields += [chunk_schema().field(name) for name in ranges]
    return pa.schema(fields + [pa.field(name, pa.binary()) for name in code_columns(instruments)])


def _row(chunk: Chunk, instruments: Sequence[str], length_s: float) -> dict[str, Any]:
    codes = [signal.codes for signal in chunk.signals]
    frames, bins, channels = codes[0].shape
    return {
        "chunk": chunk.number,
        "start_s": chunk.start_s,
        "length_s": length_s,
        "num_frames": frames,
        "num_bins": bins,
        "num_channels": channels,
        "dtype": codes[0].dtype.name,
        "min_db": [signal.min_db for signal in chunk.signals],
        "max_db": [signal.max_db for signal in chunk.signals],
        **{name: code.tobytes() for name, code in zip(code_columns(instruments), codes, strict=True)},
    }


def _written_from(file: BinaryIO, offset: int) -> ByteRange:
    file.seek(offset)
    written = file.read()
    return ByteRange(offset, len(written), google_crc32c.value(written))
