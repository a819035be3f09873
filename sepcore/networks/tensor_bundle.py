"""TensorFlow's checkpoints (`tensor bundles`), read and written with NumPy alone.

``<prefix>.index`` is a table of names and where each tensor is, ``<prefix>.data-0000N-of-0000M`` are the tensors' raw
bytes (tensorflow/core/util/tensor_bundle, tensorflow/core/protobuf/tensor_bundle.proto).
"""

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from sepcore.errors import CheckpointError
from sepcore.networks.leveldb_table import DamagedTable, masked, read_table, read_varint, varint, write_table
from sepcore.system.printable import printable

# By TensorFlow's numbers (tensorflow/core/framework/types.proto). Others, such as texts, cannot be read; bfloat16 is
# read as float32, whose upper half it is.
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    17: np.dtype("<u2"),
    19: np.dtype("<f2"),
    22: np.dtype("<u4"),
    23: np.dtype("<u8"),
}
_NUMBERS = {dtype: number for number, dtype in _DTYPES.items()}
_BFLOAT16 = 14
_PART_OF_A_VARIABLE = b"\0"  # what its key, a coded name and range, begins with
GET_AGAIN = "Fetch or train the model again."
# Spleeter's have 15 kB and 600 tensors, three times as many after training. At worst they take 70 MB when read.
_MOST_INDEX_BYTES = 4 << 20
_MOST_TENSORS = 20_000
_MOST_DIMENSIONS = 8
_MOST_ELEMENTS = 1 << 48  # NumPy counts bytes in 63 bits, in empty arrays too
_FIXED_SIZES = {1: 8, 5: 4}  # bytes of a number, by protobuf's type of a field
_MOST_SHARDS = 10_000


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where a tensor is."""

    dtype: int  # TensorFlow's number
    shape: tuple[int, ...]
    shard: int  # number of its file
    offset: int
    num_bytes: int
    checksum: int  # masked CRC32C
    is_sliced: bool  # its parts are tensors of their own, as in a partitioned variable

    @classmethod
    def parsed(cls, message: bytes) -> Self:
        """From a ``BundleEntryProto``; DamagedTable if it is none."""
        fields = dict(_fields(message))
        of_shape = _fields(_bytes_of(fields.get(2, b"")))
        found = (_number_of(dict(_fields(_bytes_of(side))), 1) for field, side in of_shape if field == 2)
        sides = tuple(islice(found, _MOST_DIMENSIONS + 1))
        # A negative side, such as -1 for an unknown one, is stored as a number near 2 ** 64.
        if len(sides) > _MOST_DIMENSIONS or math.prod(side or 1 for side in sides) > _MOST_ELEMENTS:
            raise DamagedTable("a tensor of it has a shape that none can have")
        dtype, shard, offset, num_bytes, checksum = (_number_of(fields, field) for field in (1, 3, 4, 5, 6))
        return cls(dtype, sides, shard, offset, num_bytes, checksum, 7 in fields)

    def packed(self) -> bytes:
        """As a ``BundleEntryProto``, without the fields that have their default, as protobuf writes it."""
        sides = b"".join(_tagged(2, _number(1, side)) for side in self.shape)
        numbers = _number(3, self.shard) + _number(4, self.offset) + _number(5, self.num_bytes)
        return _number(1, self.dtype) + _tagged(2, sides) + numbers + b"\x35" + struct.pack("<I", self.checksum)


class TensorBundle:
    """A checkpoint's index; its tensors are read on request.

    Args:
        prefix: See `find_checkpoint`.

    Raises:
        CheckpointError: The index is damaged, or is another program's.
        OSError: It cannot be read.
    """

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        file = prefix.with_name(f"{prefix.name}.index")
        if file.stat().st_size > _MOST_INDEX_BYTES:
            raise self._damaged(f"its index is larger than {_MOST_INDEX_BYTES >> 20} MiB")
        content = file.read_bytes()
        try:
            table = dict(islice(read_table(content), _MOST_TENSORS + 1))
            if len(table) > _MOST_TENSORS:
                raise CheckpointError(
                    f"has more than {_MOST_TENSORS} tensors", path=prefix, hint="Leave out those that no network needs."
                )
            header = dict(_fields(table.pop(b"", b"")))
            self._num_shards = _number_of(header, 1)
            if not 1 <= self._num_shards <= _MOST_SHARDS or _number_of(header, 2):
                raise DamagedTable("it is of another byte order, or no checkpoint's")
            whole = {name: entry for name, entry in table.items() if not name.startswith(_PART_OF_A_VARIABLE)}
            self._entries = {name.decode(): TensorEntry.parsed(entry) for name, entry in whole.items()}
        except (DamagedTable, UnicodeDecodeError) as error:
            raise self._damaged(f"its index cannot be read: {error}") from error

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        return {name: entry.shape for name, entry in self._entries.items()}

    def read(self, name: str) -> NDArray[Any]:
        """Read a tensor from its file, one of bfloat16 as float32.

        Raises:
            KeyError: there is none of that name.
            CheckpointError: its bytes are not what was written, its file is missing, or its type cannot be read.
            OSError: its file cannot be read.
        """
        entry, name = self._entries[name], printable(name)
        is_bfloat16 = entry.dtype == _BFLOAT16
        dtype = np.dtype("<u2") if is_bfloat16 else _DTYPES.get(entry.dtype)
        if dtype is None or entry.is_sliced:
            what = "in several parts" if entry.is_sliced else f"of TensorFlow's type {entry.dtype}"
            raise CheckpointError(
                f"{name} is {what}, which cannot be read", path=self._prefix, hint="Store it whole, as float32."
            )
        if entry.num_bytes != math.prod(entry.shape) * dtype.itemsize:
            raise self._damaged(f"{name} has {entry.num_bytes} bytes, which is not its shape {entry.shape}")
        file = self._prefix.with_name(f"{self._prefix.name}.data-{entry.shard:05}-of-{self._num_shards:05}")
        try:
            size = file.stat().st_size
        except FileNotFoundError as error:
            raise self._damaged(f"{file.name}, which holds {name}, is missing") from error
        if entry.shard >= self._num_shards or entry.offset + entry.num_bytes > size:
            raise self._damaged(f"{name} lies outside of {file.name}")
        if not entry.num_bytes:
            return np.zeros(entry.shape, np.float32 if is_bfloat16 else dtype)
        # Not mapped: a file that is cut short by whoever rewrites it would end the process (SIGBUS).
        raw = np.fromfile(file, np.uint8, entry.num_bytes, offset=entry.offset)
        if masked(google_crc32c.value(raw)) != entry.checksum:
            raise self._damaged(f"{name} has a wrong checksum")
        values = raw.view(dtype)
        if is_bfloat16:
            values = (values.astype("<u4") << 16).view("<f4")
        return values.reshape(entry.shape)

    def _damaged(self, why: str) -> CheckpointError:
        return CheckpointError(f"damaged checkpoint: {why}", path=self._prefix, hint=GET_AGAIN)


def write_tensor_bundle(prefix: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write a checkpoint of one data file, byte for byte as TensorFlow's ``SaveV2`` writes these tensors.

    OSError if the files, whose names begin with ``prefix``, exist already or cannot be written.
    """
    # The header: one data file, little endian, version 1.
    table = {b"": _number(1, 1) + _tagged(3, _number(1, 1))}
    with prefix.with_name(f"{prefix.name}.data-00000-of-00001").open("xb") as file:
        for name in sorted(tensors):
            array = np.asarray(tensors[name])
            number = _NUMBERS[array.dtype.newbyteorder("<")]
            content = np.ascontiguousarray(array, _DTYPES[number]).tobytes()
            checksum = masked(google_crc32c.value(content))
            entry = TensorEntry(number, array.shape, 0, file.tell(), len(content), checksum, is_sliced=False)
            table[name.encode()] = entry.packed()
            file.write(content)
    with prefix.with_name(f"{prefix.name}.index").open("xb") as file:
        file.write(write_table(table))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: numbers, and bytes of what is longer."""
    at = 0
    while at < len(message):
        tag, at = read_varint(message, at)
        field, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = read_varint(message, at)
            yield field, value
            continue
        if kind == 2:
            size, at = read_varint(message, at)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise DamagedTable("an entry of it is no message")
        content = message[at : at + size]
        if len(content) < size:
            raise DamagedTable("an entry of it is cut off")
        yield field, content if kind == 2 else int.from_bytes(content, "little")
        at += size


def _bytes_of(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise DamagedTable("an entry of it is no tensor's")
    return value


def _number_of(fields: Mapping[int, int | bytes], field: int) -> int:
    value = fields.get(field, 0)
    if isinstance(value, bytes):
        raise DamagedTable("an entry of it is no tensor's")
    return value


def _number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value) if value else b""


def _tagged(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content
