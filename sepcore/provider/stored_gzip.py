"""A gzip file whose bytes depend on nothing but its content: builds of zlib compress the same bytes differently."""

import zlib
from types import TracebackType
from typing import BinaryIO, Self

# No flags, no time, no name, unknown system (RFC 1952).
_HEADER = b"\x1f\x8b\x08" + bytes(5) + b"\x00\xff"
_BLOCK = 0xFFFF  # the most that a stored block of deflate holds (RFC 1951)


class StoredGzip:
    """Writes gzip's format without compressing: weights in floating point would shrink by a tenth at most.

    What is written is cut into blocks of the same size, however it comes in.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = bytearray()
        self._crc = 0
        self._size = 0
        file.write(_HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    def write(self, content: bytes) -> int:
        """Take on the next bytes of the content."""
        self._crc = zlib.crc32(content, self._crc)
        self._size += len(content)
        self._pending += content
        while len(self._pending) > _BLOCK:
            self._write_block(bytes(self._pending[:_BLOCK]), is_last=False)
            del self._pending[:_BLOCK]
        return len(content)

    def tell(self) -> int:
        """How much has been taken on."""
        return self._size

    def close(self) -> None:
        """End the file, which stays open."""
        self._write_block(bytes(self._pending), is_last=True)
        self._file.write(self._crc.to_bytes(4, "little") + (self._size % 2**32).to_bytes(4, "little"))

    def _write_block(self, content: bytes, *, is_last: bool) -> None:
        size = len(content)
        self._file.write(bytes([is_last]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"))
        self._file.write(content)
