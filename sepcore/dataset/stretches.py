"""Stretches of songs: chunks that follow each other without a gap, so that crops may cross from one into the next."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex


class Piece(NamedTuple):
    """A part of a stretch that lies in one chunk."""

    chunk: int  # its number in the index
    first: int  # frame or sample in the chunk
    length: int


class Stretches:
    """The stretches of an index, in its order.

    With ``n_chunks_per_song: "all"`` the waveform of a song is one stretch. Else, and of spectrograms, whose frames
    across the joint of two chunks are not stored, each chunk is a stretch of its own.
    """

    def __init__(self, index: ChunkIndex, config: ModelConfig) -> None:
        lengths = index.length.astype(np.int64)
        self.are_joined = config.chunks_per_song == "all" and index.start_s is not None
        """Whether chunks that follow each other are one stretch."""
        is_first, starts = np.ones(len(index), np.bool_), np.zeros(len(index), np.int64)
        if index.start_s is not None and self.are_joined:
            starts = np.rint(index.start_s * config.sample_rate).astype(np.int64)
            reached = (starts + lengths)[:-1]
            is_first[1:] = np.diff(index.shard).astype(np.bool_) | (starts[1:] <= starts[:-1]) | (starts[1:] > reached)
        self.first_chunk = np.flatnonzero(is_first)
        """The first chunk of each, by its number in the index."""
        last_chunk = np.append(self.first_chunk[1:], len(index)) - 1
        self.starts = starts - np.repeat(starts[self.first_chunk], last_chunk - self.first_chunk + 1)
        """Where each chunk starts in its stretch, in frames or samples, int64 ``(chunks,)``."""
        self.lengths = self.starts[last_chunk] + lengths[last_chunk]
        """Of each stretch, in frames or samples, int64 ``(stretches,)``."""
        self.shard = index.shard[self.first_chunk]
        """The number of each one's shard, which is its song."""
        self._chunk_lengths, self._last_chunk = lengths, last_chunk

    def __len__(self) -> int:
        return len(self.first_chunk)

    def chunks_of(self, stretch: int) -> range:
        """The chunks of a stretch, by their numbers in the index."""
        return range(int(self.first_chunk[stretch]), int(self._last_chunk[stretch]) + 1)

    def pieces(self, stretch: int, first: int, count: int) -> Iterator[Piece]:
        """Where a part of a stretch is stored, chunk by chunk; it lies within the stretch."""
        chunks = self.chunks_of(stretch)
        starts = self.starts[chunks.start : chunks.stop]
        chunk = chunks.start + int(np.searchsorted(starts, first, side="right")) - 1
        while count:
            in_chunk = first - int(self.starts[chunk])
            in_this = min(count, int(self._chunk_lengths[chunk]) - in_chunk)
            yield Piece(chunk, in_chunk, in_this)
            first, count, chunk = first + in_this, count - in_this, chunk + 1
