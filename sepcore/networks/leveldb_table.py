"""LevelDB tables as TensorFlow's checkpoints have them: sorted keys and values in blocks with checksums.

Format: https://github.com/google/leveldb/blob/main/doc/table_format.md. TensorFlow writes them without compression and
without filters, in blocks of 256 kB with a restart point every 16 entries.
"""

import struct
from collections.abc import Iterator, Mapping

import google_crc32c

_MAGIC = 0xDB4775248B80FB57
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5  # the compression and the checksum behind each block
_BLOCK_BYTES = 262_144
_RESTART_INTERVAL = 16
_VARINT_BYTES = 10
# A key is stored as what differs from the one before: of long ones, a megabyte of a table would hold gigabytes.
_MOST_KEY_BYTES = 1024
_MASK_DELTA = 0xA282EAD8
_UINT32 = 0xFFFFFFFF


class DamagedTable(ValueError):
    """The bytes are not a whole table; the text says what is wrong."""


def masked(checksum: int) -> int:
    """A CRC32C as it is stored: masked, since it is weak for bytes that hold checksums (LevelDB's util/crc32c.h)."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK_DELTA) & _UINT32


def varint(value: int) -> bytes:
    """A number >= 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """The number at a place, of at most 64 bits, and the place after it; DamagedTable if there is none."""
    value = 0
    for shift, byte in enumerate(content[at : at + _VARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at + shift + 1
    raise DamagedTable("a number in it is cut off or has too many digits")


def read_table(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a whole table, in their order.

    Raises:
        DamagedTable: it is cut off, a checksum is wrong, a length leads out of its block, blocks overlap, or a key is
            longer than a kilobyte.
    """
    footer = content[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise DamagedTable("it does not end as a table does, so it is cut off or something else")
    _, at = _read_handle(footer, 0)  # of the metadata, which TensorFlow leaves empty
    handle, _ = _read_handle(footer, at)
    last, end = None, 0
    for _, value in _entries(_block(content, *handle)):
        (offset, length), _ = _read_handle(value, 0)
        if offset < end:  # a large block without an entry could be named, and checked, without end
            raise DamagedTable("its blocks overlap")
        end = offset + length + _TRAILER_BYTES
        for key, entry in _entries(_block(content, offset, length)):
            if last is not None and key <= last:
                raise DamagedTable("its keys are not in order")
            last = key
            yield key, entry


def _read_handle(content: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block is: offset and length in bytes; and the place behind."""
    offset, at = read_varint(content, at)
    length, at = read_varint(content, at)
    return (offset, length), at


def _block(content: bytes, offset: int, length: int) -> bytes:
    block = content[offset : offset + length + _TRAILER_BYTES]
    if len(block) < length + _TRAILER_BYTES:
        raise DamagedTable("a block leads out of it")
    compression, checksum = struct.unpack("<BI", block[length:])
    if masked(google_crc32c.value(block[: length + 1])) != checksum:
        raise DamagedTable("a block of it has a wrong checksum")
    if compression:
        raise DamagedTable(f"a block of it is compressed (kind {compression}), which TensorFlow never does")
    return block[:length]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block; each key says how much it shares with the one before it."""
    if len(block) < 4:
        raise DamagedTable("a block of it is cut off")
    end = len(block) - 4 * (1 + struct.unpack("<I", block[-4:])[0])
    at, key = 0, b""
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise DamagedTable("an entry leads out of its block")
        if shared + fresh > _MOST_KEY_BYTES:
            raise DamagedTable(f"a key of it is longer than {_MOST_KEY_BYTES} bytes")
        key = key[:shared] + block[at : at + fresh]
        yield key, block[at + fresh : at + fresh + length]
        at += fresh + length
    if at != end:
        raise DamagedTable("a block of it has no end")


def write_table(entries: Mapping[bytes, bytes]) -> bytes:
    """A table of these keys and values, byte for byte as TensorFlow writes it."""
    content = bytearray()
    index, block = _BlockBuilder(restart_interval=1), _BlockBuilder()
    keys = sorted(entries)
    for key, following in zip(keys, [*keys[1:], None], strict=True):
        block.add(key, entries[key])
        if following is None or block.num_bytes >= _BLOCK_BYTES:
            index.add(_separator(key, following), _append(content, block))
            block = _BlockBuilder()
    handles = _append(content, _BlockBuilder()) + _append(content, index)  # the first is the metadata's
    return bytes(content) + handles.ljust(_FOOTER_BYTES - 8, b"\0") + struct.pack("<Q", _MAGIC)


class _BlockBuilder:
    """A block that grows by entries in the order of their keys."""

    def __init__(self, restart_interval: int = _RESTART_INTERVAL) -> None:
        self._restart_interval = restart_interval
        self._content, self._restarts, self._last, self._num_entries = bytearray(), [0], b"", 0

    @property
    def num_bytes(self) -> int:
        return len(self._content) + 4 * (len(self._restarts) + 1)

    def add(self, key: bytes, value: bytes) -> None:
        shared = 0
        if self._num_entries % self._restart_interval:
            shared = _num_shared(key, self._last)
        elif self._num_entries:
            self._restarts.append(len(self._content))
        self._content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        self._last = key
        self._num_entries += 1

    def packed(self) -> bytes:
        return bytes(self._content) + struct.pack(f"<{len(self._restarts) + 1}I", *self._restarts, len(self._restarts))


def _append(content: bytearray, builder: _BlockBuilder) -> bytes:
    """Append a block, and return the handle that leads to it."""
    block = builder.packed()
    handle = varint(len(content)) + varint(len(block))
    content += block + struct.pack("<BI", 0, masked(google_crc32c.value(block + b"\0")))
    return handle


def _num_shared(one: bytes, other: bytes) -> int:
    """How many bytes two keys begin with alike."""
    differing = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))


def _separator(key: bytes, following: bytes | None) -> bytes:
    """A short key that is not below ``key`` and below the following one, for the index (LevelDB's comparator)."""
    if following is None:
        place = next((at for at, byte in enumerate(key) if byte != 0xFF), None)
        return key if place is None else key[:place] + bytes([key[place] + 1])
    shared = _num_shared(key, following)
    if shared == len(key) or key[shared] + 1 >= following[shared]:
        return key
    return key[:shared] + bytes([key[shared] + 1])
