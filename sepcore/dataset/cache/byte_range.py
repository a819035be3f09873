"""Where a chunk stands in its shard, whatever the shard's format."""

from dataclasses import dataclass


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
