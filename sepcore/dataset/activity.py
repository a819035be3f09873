"""Where stems sound: crops of waveforms that hold something to learn from, by the levels of the index."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.crops import Songs

SOUNDING_DB = -60.0
"""A second sounds if its level is at least this, relative to the loudest second that the index has of the stem."""
# The index's level of a second without a sample other than zero.
_SILENCE_DB = -180.0
# Songs and stems whose places are kept, some kilobytes each.
_KEPT = 4096


class _Starts(NamedTuple):
    """Where crops may start in a song: runs of samples, in the order of the song."""

    chunks: NDArray[np.int64]  # the chunk of each run, by its number in the index
    firsts: NDArray[np.int64]  # its first sample
    ends: NDArray[np.int64]  # how many starts there are up to its end, all runs before it included


class Activity:
    """Draws crops in which a stem sounds.

    These are the crops that have at least a second in common with a stretch of sounding seconds, see `SOUNDING_DB`; or
    as much as can be, if one of the two is shorter. Each such crop of the song's chunks is as likely as another.
    """

    def __init__(self, index: ChunkIndex, config: ModelConfig) -> None:
        self._index, self._songs, self._sample_rate = index, Songs(index), config.sample_rate
        self._crop, self._lengths = config.segment_samples, index.length.astype(np.int64)
        self._starts = lru_cache(maxsize=_KEPT)(self._find_starts)

    def crop(self, chunk: int, stem: int, uniform: float) -> tuple[int, int] | None:
        """A crop in which a stem sounds, from any chunk of a chunk's song: its chunk and its first sample.

        Args:
            chunk: Number of a chunk in the index.
            stem: Number of the stem.
            uniform: A random number in [0, 1).

        Returns:
            None if the stem never sounds.
        """
        starts = self._starts(self._songs.song_of(chunk), stem)
        if starts is None:
            return None
        number = int(uniform * int(starts.ends[-1]))
        run = int(np.searchsorted(starts.ends, number, side="right"))
        before = int(starts.ends[run - 1]) if run else 0
        return int(starts.chunks[run]), int(starts.firsts[run]) + number - before

    def _find_starts(self, song: int, stem: int) -> _Starts | None:
        chunks = self._songs.chunks_of(song)
        levels = [self._index.levels(chunk)[1 + stem] for chunk in chunks]
        loudest = max(float(of_chunk.max()) for of_chunk in levels)
        if loudest <= _SILENCE_DB:
            return None
        runs = [
            self._runs(of_chunk >= loudest + SOUNDING_DB, int(self._lengths[chunk]))
            for chunk, of_chunk in zip(chunks, levels, strict=True)
        ]
        firsts, counts = (np.concatenate(parts) for parts in zip(*runs, strict=True))
        of_runs = np.repeat(np.array(chunks), [len(of_chunk) for of_chunk, _ in runs])
        return _Starts(of_runs, firsts, np.cumsum(counts))

    def _runs(self, sounding: NDArray[np.bool_], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and number of the starts that each stretch of sounding seconds adds to those of the ones before it."""
        edges = np.flatnonzero(np.diff(sounding, prepend=False, append=False))
        begins, ends = edges[::2] * self._sample_rate, np.minimum(edges[1::2] * self._sample_rate, length)
        common = np.minimum(ends - begins, min(self._sample_rate, self._crop))
        firsts = np.maximum(begins + common - self._crop, 0)
        lasts = np.minimum(ends - common, length - self._crop)
        firsts[1:] = np.maximum(firsts[1:], lasts[:-1] + 1)
        return firsts, np.maximum(lasts - firsts + 1, 0)
