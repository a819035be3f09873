"""Where training examples come from: the chunk and the place in it, and with ``remix`` those of each stem."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.draws import Draw, ExampleRandom, epoch_order


class StemCrops(NamedTuple):
    """Where each stem of an example comes from."""

    chunks: NDArray[np.int64]  # the numbers of their chunks in the index, ``(stems,)``; all the same unless remixed
    firsts: NDArray[np.int64]  # the first frame or sample of each, ``(stems,)``
    kept: int  # the stem that stays in the example's own place while others are exchanged or moved
    remixed: bool


class Crops:
    """The crops of a training: every epoch uses each chunk once, in a new order, from a random place in it."""

    def __init__(self, index: ChunkIndex, config: ModelConfig, *, length: int) -> None:
        """``length`` is that of a crop, in frames or samples as the index counts them."""
        self.lengths = index.length.astype(np.int64)
        self._config, self._length = config, length
        self._songs = Songs(index)
        # Two: around the end of an epoch, examples of both epochs are drawn in turn.
        self._order = lru_cache(maxsize=2)(lambda epoch: epoch_order(config.random_seed, epoch, len(index)))

    def random(self, step: int, place: int) -> ExampleRandom:
        """The random numbers of an example."""
        return ExampleRandom(self._config.random_seed, step, place)

    def own(self, step: int, place: int) -> tuple[int, int]:
        """The number of the example's own chunk in the index, and the first frame or sample of its crop."""
        epoch, place_in_epoch = divmod(step * self._config.batch_size + place, len(self.lengths))
        chunk = int(self._order(epoch)[place_in_epoch])
        (first,) = self.random(step, place).below(Draw.CROP, self._num_starts(np.array([chunk])))
        return chunk, int(first)

    def of_stems(self, step: int, place: int) -> StemCrops:
        """Draw whether the example is remixed, and from where its stems come."""
        num_stems = len(self._config.instruments)
        random, (chunk, first) = self.random(step, place), self.own(step, place)
        if random.uniform(Draw.REMIX, 1)[0] >= self._config.augmentation.remix:
            return StemCrops(np.full(num_stems, chunk), np.full(num_stems, first), 0, remixed=False)
        chunks, kept = self._songs.remixed_chunks(random, chunk, num_stems)
        firsts = random.below(Draw.REMIX_FRAMES, self._num_starts(chunks))
        firsts[kept] = first
        return StemCrops(chunks, firsts, kept, remixed=True)

    def _num_starts(self, chunks: NDArray[np.int64]) -> NDArray[np.int64]:
        num_starts: NDArray[np.int64] = self.lengths[chunks] - (self._length - 1)
        return num_starts


class Songs:
    """The songs of an index by their chunks, which stand together, and the songs of remixed examples."""

    def __init__(self, index: ChunkIndex) -> None:
        self._first_chunk = np.flatnonzero(np.diff(index.shard, prepend=-1))
        self._num_chunks = np.diff(self._first_chunk, append=len(index))

    def song_of(self, chunk: int) -> int:
        """The number of the song that a chunk is from."""
        return int(np.searchsorted(self._first_chunk, chunk, side="right")) - 1

    def chunks_of(self, song: int) -> range:
        """The numbers of a song's chunks."""
        first = int(self._first_chunk[song])
        return range(first, first + int(self._num_chunks[song]))

    def remixed_chunks(self, random: ExampleRandom, chunk: int, num_stems: int) -> tuple[NDArray[np.int64], int]:
        """The chunks of a remixed example's stems, and the number of the stem that keeps the example's own chunk.

        The chunks are int64 ``(stems,)``, and of different songs if there are enough.
        """
        songs, kept = self.remixed(random, self.song_of(chunk), num_stems)
        chunks = self._first_chunk[songs] + random.below(Draw.REMIX_CHUNKS, self._num_chunks[songs])
        chunks[kept] = chunk
        return chunks, kept

    def remixed(self, random: ExampleRandom, own: int, num_stems: int) -> tuple[NDArray[np.int64], int]:
        """The songs of the stems, int64 ``(stems,)``, and the number of the stem that keeps the example's own song."""
        num_songs = len(self._first_chunk)
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
