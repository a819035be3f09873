"""Where chunks lie in their shards, and reading them with their checksums."""

from dataclasses import dataclass
from typing import BinaryIO

import google_crc32c

from sepcore.dataset.cache.chunks import Chunk
from sepcore.dataset.cache.pcm import PcmSignal


@dataclass(frozen=True)
class ByteRange:
    """Where a chunk is in its shard, and the CRC-32C of these bytes."""

    offset: int
    num_bytes: int
    checksum: int
    pcm_offsets: tuple[int, ...] = ()  # of a chunk of waveforms: the first byte of each signal's PCM in the shard

    @property
    def end(self) -> int:
        """The first byte after the chunk."""
        return self.offset + self.num_bytes

    def read_from(self, file: BinaryIO) -> bytes | None:
        """The chunk's bytes; None if they are incomplete or do not match the checksum."""
        file.seek(self.offset)
        content = file.read(self.num_bytes)
        return content if google_crc32c.value(content) == self.checksum else None


def pcm_offsets(chunk: Chunk, written: bytes, offset: int) -> tuple[int, ...]:
    """The first byte of the PCM of each signal in a shard; none for spectrograms.

    Args:
        chunk: What was written.
        written: The bytes that were written for it.
        offset: Their first byte in the shard.
    """
    place, offsets = 0, []
    for signal in chunk.signals:
        if isinstance(signal, PcmSignal):
            # Both formats store the signals in turn, the PCM of each as it is and in one piece; this proves it.
            place = written.index(signal.codes, place)
            offsets.append(offset + place)
            place += len(signal.codes)
    return tuple(offsets)
