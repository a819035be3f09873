"""Where stems sound: crops of waveforms that hold something to learn from, by the levels of the index."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.crops import Songs
from sepcore.dataset.stretches import Stretches

SOUNDING_DB = -60.0
"""A second sounds if its level is at least this, relative to the loudest second that the index has of the stem."""
# The index's level of a second without a sample other than zero.
_SILENCE_DB = -180.0
# Songs and stems whose places are kept, some kilobytes each.
_KEPT = 4096


class _Starts(NamedTuple):
    """Where crops may start in a song: runs of samples, in the order of the song."""

    stretches: NDArray[np.int64]  # the stretch of each run
    firsts: NDArray[np.int64]  # its first sample
    ends: NDArray[np.int64]  # how many starts there are up to its end, all runs before it included


class Activity:
    """Draws crops in which a stem sounds.

    These are the crops that have at least a second in common with a stretch of sounding seconds, see `SOUNDING_DB`; or
    as much as can be, if one of the two is shorter. Each such crop of the song's stretches is as likely as another.
    """

    def __init__(self, index: ChunkIndex, config: ModelConfig, stretches: Stretches) -> None:
        self._index, self._stretches, self._sample_rate = index, stretches, config.sample_rate
        self._songs, self._crop = Songs(stretches.shard), config.segment_samples
        self._starts = lru_cache(maxsize=_KEPT)(self._find_starts)

    def crop(self, stretch: int, stem: int, uniform: float) -> tuple[int, int] | None:
        """A crop in which a stem sounds, from any stretch of a stretch's song: its stretch and its first sample.

        Args:
            stretch: Number of a stretch.
            stem: Number of the stem.
            uniform: A random number in [0, 1).

        Returns:
            None if the stem never sounds.
        """
        starts = self._starts(self._songs.song_of(stretch), stem)
        if starts is None:
            return None
        number = int(uniform * int(starts.ends[-1]))
        run = int(np.searchsorted(starts.ends, number, side="right"))
        before = int(starts.ends[run - 1]) if run else 0
        return int(starts.stretches[run]), int(starts.firsts[run]) + number - before

    def _find_starts(self, song: int, stem: int) -> _Starts | None:
        stretches = self._songs.stretches_of(song)
        chunks = [chunk for stretch in stretches for chunk in self._stretches.chunks_of(stretch)]
        loudest = max(float(self._index.levels(chunk)[1 + stem].max()) for chunk in chunks)
        if loudest <= _SILENCE_DB:
            return None
        runs = [self._runs(stretch, stem, loudest + SOUNDING_DB) for stretch in stretches]
        firsts, counts = (np.concatenate(parts) for parts in zip(*runs, strict=True))
        of_runs = np.repeat(np.array(stretches), [len(of_stretch) for of_stretch, _ in runs])
        return _Starts(of_runs, firsts, np.cumsum(counts))

    def _runs(self, stretch: int, stem: int, least_db: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and number of the starts that each run of sounding seconds adds to those of the ones before it."""
        length = int(self._stretches.lengths[stretch])
        begins, ends = self._sounding(stretch, stem, least_db)
        common = np.minimum(ends - begins, min(self._sample_rate, self._crop))
        firsts = np.maximum(begins + common - self._crop, 0)
        lasts = np.minimum(ends - common, length - self._crop)
        firsts[1:] = np.maximum(firsts[1:], lasts[:-1] + 1)
        return firsts, np.maximum(lasts - firsts + 1, 0)

    def _sounding(self, stretch: int, stem: int, least_db: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Begins and ends of the runs of sounding seconds, in samples of a stretch; chunks may overlap."""
        begins, ends = [], []
        for chunk in self._stretches.chunks_of(stretch):
            sounding = self._index.levels(chunk)[1 + stem] >= least_db
            edges = np.flatnonzero(np.diff(sounding, prepend=False, append=False)) * self._sample_rate
            start, length = int(self._stretches.starts[chunk]), int(self._index.length[chunk])
            begins.append(start + edges[::2])
            ends.append(start + np.minimum(edges[1::2], length))
        begin, end = np.concatenate(begins), np.concatenate(ends)
        if not len(begin):
            return begin, end
        order = np.argsort(begin, kind="stable")
        begin, reached = begin[order], np.maximum.accumulate(end[order])
        gaps = np.flatnonzero(begin[1:] > reached[:-1])
        return begin[np.append([0], gaps + 1)], reached[np.append(gaps, [-1])]
