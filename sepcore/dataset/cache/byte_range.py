"""Where a chunk stands in its shard, whatever the shard's format."""

from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c


@dataclass(frozen=True)
class ByteRange:
    """Consecutive bytes of a file.

    Attributes:
        offset: The first one.
        num_bytes: How many.
        checksum: Their CRC-32C.
    """

    offset: int
    num_bytes: int
    checksum: int

    @property
    def end(self) -> int:
        """The first byte behind them."""
        return self.offset + self.num_bytes

    def read_from(self, file: BinaryIO) -> bytes | None:
        """These bytes of a file; None if they are not all there, or not those of the checksum."""
        file.seek(self.offset)
        content = file.read(self.num_bytes)
        return content if google_crc32c.value(content) == self.checksum else None
