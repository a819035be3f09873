"""TFRecord files of `tf.train.Example` messages, written and read without TensorFlow, whose import takes seconds."""

import struct
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from sepcore.dataset.cache.chunks import Chunk, Signal
from sepcore.dataset.cache.schema import ByteRange

# The content follows its length and that number's checksum, and is followed by its own checksum.
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
FRAMING_BYTES = _LENGTH.size + 2 * _CHECKSUM.size
"""What TFRecord adds to each record."""


def write_tfrecord(file: BinaryIO, chunks: Iterable[Chunk], instruments: Sequence[str]) -> list[ByteRange]:
    """Write chunks to a file, each as an Example, and return where they are.

    An Example's features are the names of the ``signals`` (``mixture`` first), their ``codes``, one string each, the
    ``shape`` (frames, bins, channels) of them, and ``min_db`` and ``max_db`` of each; float16 codes, little-endian,
    come with ``dtype``. The same chunks give the same bytes.
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
    """The signals of a chunk from its bytes in the file, framing included; whole ones: no checksum is looked at."""
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
    """CRC-32C as TFRecord stores it: rotated and offset, so that data may contain checksums of its own."""
    checksum: int = google_crc32c.value(content)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def serialize(chunk: Chunk, instruments: Sequence[str]) -> bytes:
    """A chunk as `tf.train.Example`, see `write_tfrecord`."""
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
    """Class of one of TensorFlow's messages, in a pool of its own: TensorFlow itself may fill the common one."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_example_file())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.{name}"))


def _example_file() -> descriptor_pb2.FileDescriptorProto:
    """TensorFlow's example.proto and feature.proto, as far as they go."""
    types = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="example.proto", package="tensorflow", syntax="proto3")

    def add_field(message: Any, name: str, number: int, field_type: int, **more: Any) -> None:
        label = more.pop("label", types.LABEL_OPTIONAL)
        message.field.add(name=name, number=number, type=field_type, label=label, **more)

    values = {"BytesList": types.TYPE_BYTES, "FloatList": types.TYPE_FLOAT, "Int64List": types.TYPE_INT64}
    feature = descriptor_pb2.DescriptorProto(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, (name, value_type) in enumerate(values.items(), start=1):
        add_field(file.message_type.add(name=name), "value", 1, value_type, label=types.LABEL_REPEATED)
        field_name, type_name = f"{name[:-4].lower()}_list", f".tensorflow.{name}"
        add_field(feature, field_name, number, types.TYPE_MESSAGE, type_name=type_name, oneof_index=0)
    file.message_type.append(feature)

    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    add_field(entry, "key", 1, types.TYPE_STRING)
    add_field(entry, "value", 2, types.TYPE_MESSAGE, type_name=".tensorflow.Feature")
    entry_name = ".tensorflow.Features.FeatureEntry"
    add_field(features, "feature", 1, types.TYPE_MESSAGE, type_name=entry_name, label=types.LABEL_REPEATED)
    example = file.message_type.add(name="Example")
    add_field(example, "features", 1, types.TYPE_MESSAGE, type_name=".tensorflow.Features")
    return file
