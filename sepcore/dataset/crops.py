"""Where training examples come from: the stretch and the place in it, and with ``remix`` those of each stem."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.draws import Draw, ExampleRandom, epoch_order
from sepcore.dataset.stretches import Stretches


class StemCrops(NamedTuple):
    """Where each stem of an example comes from."""

    stretches: NDArray[np.int64]  # the numbers of their stretches, ``(stems,)``; all the same unless remixed
    firsts: NDArray[np.int64]  # the first frame or sample of each, ``(stems,)``
    kept: int  # the stem that stays in the example's own place while others are exchanged or moved
    remixed: bool


class Crops:
    """The crops of a training.

    Every epoch takes as many as there are chunks, in a new order: one from a random place in each chunk. Where chunks
    are joined to stretches, it takes one from each of as many equal parts of all stretches' seconds, so that a song is
    met as often as it is long, and every place in it where a crop may start as often as another.
    """

    def __init__(self, index: ChunkIndex, config: ModelConfig, *, length: int) -> None:
        """``length`` is that of a crop, in frames or samples as the index counts them."""
        self.stretches = Stretches(index, config)
        self._config, self._length, self._num_chunks = config, length, len(index)
        self._songs = Songs(self.stretches.shard)
        self._ends = np.cumsum(self.stretches.lengths)
        # Two: around the end of an epoch, examples of both epochs are drawn in turn.
        self._order = lru_cache(maxsize=2)(lambda epoch: epoch_order(config.random_seed, epoch, len(index)))

    def random(self, step: int, place: int) -> ExampleRandom:
        """The random numbers of an example."""
        return ExampleRandom(self._config.random_seed, step, place)

    def own(self, step: int, place: int) -> tuple[int, int]:
        """The number of the example's own stretch, and the first frame or sample of its crop."""
        epoch, place_in_epoch = divmod(step * self._config.batch_size + place, self._num_chunks)
        stretch = int(self._order(epoch)[place_in_epoch])
        share = float(self.random(step, place).uniform(Draw.CROP, 1)[0])
        if self.stretches.are_joined:
            at = (stretch + share) / self._num_chunks * float(self._ends[-1])  # the part has a chunk's number
            stretch = min(int(np.searchsorted(self._ends, at, side="right")), len(self.stretches) - 1)
            length = int(self.stretches.lengths[stretch])
            share = (at - float(self._ends[stretch] - length)) / length
        num_starts = int(self._num_starts(np.array([stretch]))[0])
        return stretch, min(int(share * num_starts), num_starts - 1)

    def of_stems(self, step: int, place: int) -> StemCrops:
        """Draw whether the example is remixed, and from where its stems come."""
        num_stems = len(self._config.instruments)
        random, (stretch, first) = self.random(step, place), self.own(step, place)
        if random.uniform(Draw.REMIX, 1)[0] >= self._config.augmentation.remix:
            return StemCrops(np.full(num_stems, stretch), np.full(num_stems, first), 0, remixed=False)
        stretches, kept = self._songs.remixed_stretches(random, stretch, num_stems)
        firsts = random.below(Draw.REMIX_FRAMES, self._num_starts(stretches))
        firsts[kept] = first
        return StemCrops(stretches, firsts, kept, remixed=True)

    def _num_starts(self, stretches: NDArray[np.int64]) -> NDArray[np.int64]:
        num_starts: NDArray[np.int64] = self.stretches.lengths[stretches] - (self._length - 1)
        return num_starts


class Songs:
    """The songs of stretches, which stand together, and the songs of remixed examples."""

    def __init__(self, shard: NDArray[np.int32]) -> None:
        """``shard`` is that of each stretch."""
        self._first = np.flatnonzero(np.diff(shard, prepend=-1))
        self._count = np.diff(self._first, append=len(shard))

    def song_of(self, stretch: int) -> int:
        """The number of the song that a stretch is from."""
        return int(np.searchsorted(self._first, stretch, side="right")) - 1

    def stretches_of(self, song: int) -> range:
        """The numbers of a song's stretches."""
        first = int(self._first[song])
        return range(first, first + int(self._count[song]))

    def remixed_stretches(self, random: ExampleRandom, stretch: int, num_stems: int) -> tuple[NDArray[np.int64], int]:
        """The stretches of a remixed example's stems, and the number of the stem that keeps the example's own.

        They are int64 ``(stems,)``, and of different songs if there are enough.
        """
        songs, kept = self.remixed(random, self.song_of(stretch), num_stems)
        stretches = self._first[songs] + random.below(Draw.REMIX_CHUNKS, self._count[songs])
        stretches[kept] = stretch
        return stretches, kept

    def remixed(self, random: ExampleRandom, own: int, num_stems: int) -> tuple[NDArray[np.int64], int]:
        """The songs of the stems, int64 ``(stems,)``, and the number of the stem that keeps the example's own song."""
        num_songs = len(self._first)
        num_drawn = min(num_stems, num_songs)
        first, *others = random.uniform(Draw.REMIX_SONGS, 1 + num_drawn).tolist()
        kept = int(first * num_stems)
        drawn = _first_of_shuffled(num_songs, others)
        # With fewer songs than stems, they repeat.
        songs = np.array([drawn[stem % num_drawn] for stem in range(num_stems)], np.int64)
        # If the own song was drawn, too, it is replaced by that of the kept stem, which does not need it.
        songs[songs == own] = songs[kept]
        songs[kept] = own
        return songs, kept


def _first_of_shuffled(count: int, uniform: list[float]) -> list[int]:
    """A different number below ``count`` for each random number in [0, 1).

    The first steps of Fisher and Yates' shuffle without the list: ``moved`` holds the numbers that have moved.
    """
    moved: dict[int, int] = {}
    drawn = []
    for place, share in enumerate(uniform):
        other = place + int(share * (count - place))
        drawn.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return drawn
