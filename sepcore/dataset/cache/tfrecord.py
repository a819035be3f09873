"""Shards as TFRecord files, written and read without TensorFlow, whose import takes seconds."""

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from sepcore.dataset.cache.byte_range import ByteRange, pcm_offsets
from sepcore.dataset.cache.chunks import Chunk, Signal, Signals
from sepcore.dataset.cache.pcm import PcmSignal

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


def write_tfrecord(file: BinaryIO, chunks: Iterable[Chunk], instruments: Sequence[str]) -> list[ByteRange]:
    """Write each chunk as a `tf.train.Example`, and return where they are; the same chunks give the same bytes.

    The features: the names of the ``signals`` (``mixture`` first), their ``codes`` (one string each), and the ``shape``
    of each. Of spectrograms that is (frames, bins, channels), and there are ``min_db`` and ``max_db``, for float16
    codes, little-endian, also ``dtype``. Of waveforms it is (samples, channels), and each has a ``dtype`` and a
    ``scale``, see `PcmSignal`.
    """
    ranges: list[ByteRange] = []
    for chunk in chunks:
        example = serialize(chunk, instruments)
        header = _LENGTH.pack(len(example)) + _CHECKSUM.pack(_masked_crc(_LENGTH.pack(len(example))))
        checksum = 0
        for part in (header, example, _CHECKSUM.pack(_masked_crc(example))):
            file.write(part)
            checksum = google_crc32c.extend(checksum, part)
        offset = ranges[-1].end if ranges else 0
        pcm = pcm_offsets(chunk, example, offset + len(header))
        ranges.append(ByteRange(offset, len(example) + FRAMING_BYTES, checksum, pcm))
    return ranges


def parse_record(record: bytes, wanted: slice = slice(None)) -> Signals:
    """Some signals of a chunk, by default all, from its verified bytes in the file, framing included."""
    example = _message_class("Example")()
    example.ParseFromString(record[_LENGTH.size + _CHECKSUM.size : -_CHECKSUM.size])
    features = example.features.feature
    codes, shape = features["codes"].bytes_list.value[wanted], tuple(features["shape"].int64_list.value)
    dtypes = [name.decode() for name in features["dtype"].bytes_list.value]
    if "scale" in features:
        of_signals = zip(codes, dtypes[wanted], features["scale"].float_list.value[wanted], strict=True)
        return tuple(PcmSignal(pcm, shape, dtype, scale) for pcm, dtype, scale in of_signals)
    limits = (features[name].float_list.value[wanted] for name in ("min_db", "max_db"))
    return tuple(
        Signal(np.frombuffer(code, "<f2" if dtypes else "u1").reshape(shape), min_db, max_db)
        for code, min_db, max_db in zip(codes, *limits, strict=True)
    )


def looks_like_tfrecord(path: Path) -> bool:
    """Whether a file begins as a TFRecord does, or is empty."""
    with path.open("rb") as file:
        header = file.read(_LENGTH.size + _CHECKSUM.size)
    return not header or header[_LENGTH.size :] == _CHECKSUM.pack(_masked_crc(header[: _LENGTH.size]))


def _masked_crc(content: bytes) -> int:
    """CRC-32C as TFRecord stores it: rotated and offset, since data may contain checksums too."""
    checksum: int = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def serialize(chunk: Chunk, instruments: Sequence[str]) -> bytes:
    """A chunk as a `tf.train.Example`, see `write_tfrecord`."""
    example = _message_class("Example")()
    feature = example.features.feature
    feature["signals"].bytes_list.value.extend(name.encode() for name in ("mixture", *instruments))
    feature["shape"].int64_list.value.extend(chunk.signals[0].shape)
    for signal in chunk.signals:
        if isinstance(signal, PcmSignal):
            feature["codes"].bytes_list.value.append(signal.codes)
            feature["dtype"].bytes_list.value.append(signal.dtype.encode())
            feature["scale"].float_list.value.append(signal.scale)
        else:
            feature["codes"].bytes_list.value.append(signal.codes.tobytes())
            feature["min_db"].float_list.value.append(signal.min_db)
            feature["max_db"].float_list.value.append(signal.max_db)
            if signal.codes.dtype != np.uint8:  # once: the same of all signals
                feature["dtype"].bytes_list.value[:] = [signal.codes.dtype.name.encode()]
    # Protocol buffers promise no order of a map's keys otherwise.
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


@cache
def _message_class(name: str) -> Any:
    # In a separate pool: TensorFlow may define the same messages in the default one.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(_EXAMPLE_PROTO, descriptor_pb2.FileDescriptorProto()))
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.{name}"))
