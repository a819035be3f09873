"""Remixing: which chunks the stems of an example come from when they are of different songs."""

import numpy as np
from numpy.typing import NDArray

from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.random_numbers import Draw, ExampleRandom


class Remixer:
    """Draws a chunk for each stem of an example."""

    def __init__(self, index: ChunkIndex, num_stems: int) -> None:
        self._num_stems = num_stems
        self._first_chunk = np.flatnonzero(np.diff(index.shard, prepend=-1))  # a song's chunks stand together
        self._num_chunks = np.diff(self._first_chunk, append=len(index))

    def chunks(self, random: ExampleRandom, chunk: int) -> tuple[NDArray[np.int64], int]:
        """The stems' chunks of a remixed example.

        Args:
            random: The example's.
            chunk: The example's own.

        Returns:
            Their numbers, int64 ``(stems,)``, each of another song if there are as many; and the number of the stem
            that stays with the example's own chunk.
        """
        own = int(np.searchsorted(self._first_chunk, chunk, side="right")) - 1
        songs, kept = self.songs(random, own)
        chunks = self._first_chunk[songs] + random.below(Draw.REMIX_CHUNKS, self._num_chunks[songs])
        chunks[kept] = chunk
        return chunks, kept

    def songs(self, random: ExampleRandom, own: int) -> tuple[NDArray[np.int64], int]:
        """The stems' songs, int64 ``(stems,)``, and which stem keeps the example's own song."""
        num_songs = len(self._first_chunk)
        num_drawn = min(self._num_stems, num_songs)
        first, *others = random.uniform(Draw.REMIX_SONGS, 1 + num_drawn).tolist()
        kept = int(first * self._num_stems)
        drawn = _first_of_shuffled(num_songs, others)
        # With fewer songs than stems they come again, in the same order.
        songs = np.array([drawn[stem % num_drawn] for stem in range(self._num_stems)], np.int64)
        # Should the own song be among them, the one that the kept stem has no need of takes its place.
        songs[songs == own] = songs[kept]
        songs[kept] = own
        return songs, kept


def _first_of_shuffled(count: int, uniform: list[float]) -> list[int]:
    """As many of the numbers below ``count``, all different, as there are random numbers from 0 to below 1.

    The first steps of Fisher and Yates' shuffle, without the list to be shuffled: ``moved`` holds what stands elsewhere
    than at its own place.
    """
    moved: dict[int, int] = {}
    drawn = []
    for place, share in enumerate(uniform):
        other = place + int(share * (count - place))
        drawn.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return drawn
