"""What is drawn for training examples: where each comes from and how it is varied, before anything is read."""

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.config.dataset import AugmentationConfig
from sepcore.config.model_config import ModelConfig

if TYPE_CHECKING:
    from sepcore.dataset.cache.index import ChunkIndex

DRAWS_VERSION = 2
"""Raised whenever the same seed gives other examples: an older run would not resume as it would have continued."""


class Draw(IntEnum):
    """What is drawn; each from a stream of its own, so that one augmentation does not change what another draws."""

    ORDER = 0
    CROP = 1
    GAIN = 2
    CHANNEL_SWAP = 3
    PITCH = 4
    TEMPO = 5
    REMIX = 6
    REMIX_SONGS = 7
    REMIX_CHUNKS = 8
    REMIX_FRAMES = 9


@dataclass(frozen=True)
class ExampleRandom:
    """Random numbers of one training example, each a function of what it is drawn for and of nothing drawn before.

    They come from Philox, a counter-based generator: the seed and the kind of draw are its key, the step and the place
    in the batch its counter, all of them at full width. NumPy keeps the raw numbers of its generators the same in all
    versions; its `Generator` makes no such promise, so the numbers are converted here.

    Attributes:
        seed: The run's, from 0 to below 2^64, as the other two are.
        step: Steps before that of the example.
        place: Of the example in the step's batch, from 0.

    References:
        J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """

    seed: int
    step: int
    place: int

    def uniform(self, draw: Draw, count: int) -> NDArray[np.float64]:
        """The first numbers of one stream, >= 0 and < 1, ``(count,)``."""
        # The 53 bits that a float64 holds.
        raw = _raw(self.seed, draw, (self.place, self.step), count)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, draw: Draw, limits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Whole numbers from 0 to below each limit (``(count,)``, >= 1), ``(count,)``."""
        return np.floor(self.uniform(draw, len(limits)) * limits).astype(np.int64)


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The numbers from 0 to ``count - 1`` in the order of one epoch, int64 ``(count,)``."""
    return np.argsort(_raw(seed, Draw.ORDER, (0, epoch), count), kind="stable")


def _raw(seed: int, draw: Draw, at: tuple[int, int], count: int) -> NDArray[np.uint64]:
    # The lower half of the counter is left to the stream, which counts up there.
    key, counter = np.array([seed, draw], np.uint64), np.array([0, 0, *at], np.uint64)
    raw: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(count)
    return raw


_SEMITONES_PER_OCTAVE = 12


class Example(NamedTuple):
    """What was drawn for an example; NumPy's values, or tensors of them.

    Attributes:
        chunks: Each stem's chunk by its number in the index, int64 ``(stems,)``; the same one for all unless the
            example is remixed.
        first_frames: The first frame of each stem's segment in its chunk, int64 ``(stems,)``.
        num_frames: Frames to read of each, which become the frames of a segment; int64.
        remixed: Whether the stems come from chunks of their own, and the mixture is made of them.
        gains: A factor for each stem, float32 ``(stems,)``.
        pitch_factor: Ratio of the frequencies, float32.
        swapped: Whether the channels are in reverse order.
    """

    chunks: Any
    first_frames: Any
    num_frames: Any
    remixed: Any
    gains: Any
    pitch_factor: Any
    swapped: Any


class TrainingExamples:
    """The examples of a training: each a function of the seed, its step and its place in the step's batch.

    Every epoch takes each chunk once, in a new order, and a segment from a random place of it.
    """

    def __init__(self, index: "ChunkIndex", config: ModelConfig) -> None:
        self._config, self._num_frames = config, index.num_frames
        self._remixer = Remixer(index, len(config.instruments))
        # Two: around the end of an epoch, examples of both are drawn in turn.
        self._order = lru_cache(maxsize=2)(lambda epoch: epoch_order(config.random_seed, epoch, len(index)))

    def crop(self, step: int, place: int) -> tuple[int, int]:
        """The example's own chunk, by its number in the index, and the first frame of a segment in it."""
        epoch, place_in_epoch = divmod(step * self._config.batch_size + place, len(self._num_frames))
        chunk = int(self._order(epoch)[place_in_epoch])
        (first_frame,) = self._random(step, place).below(Draw.CROP, self._num_starts([chunk]))
        return chunk, int(first_frame)

    def example(self, step: int, place: int) -> Example:
        """Everything that is drawn for an example."""
        random, settings = self._random(step, place), self._config.augmentation
        num_stems, segment_frames = len(self._config.instruments), self._config.segment_frames
        chunk, first_frame = self.crop(step, place)
        chunks, first_frames = np.full(num_stems, chunk), np.full(num_stems, first_frame)
        remixed = bool(random.uniform(Draw.REMIX, 1)[0] < settings.remix)
        if remixed:
            chunks, kept = self._remixer.chunks(random, chunk)
            first_frames = random.below(Draw.REMIX_FRAMES, self._num_starts(chunks))
            first_frames[kept] = first_frame
        available = self._num_frames[chunks].astype(np.int64)
        # Stems that are mixed as they are must be stretched alike.
        num_frames = min(num_source_frames(random, settings, segment_frames), int(available.min()))
        gains_db = settings.gain_db * (2 * random.uniform(Draw.GAIN, num_stems) - 1)
        semitones = settings.pitch_shift * (2 * random.uniform(Draw.PITCH, 1)[0] - 1)
        return Example(
            chunks=chunks,
            first_frames=stretched_from(first_frames, segment_frames, num_frames, available),
            num_frames=np.int64(num_frames),
            remixed=np.bool_(remixed),
            gains=(10 ** (gains_db / 20)).astype(np.float32),
            pitch_factor=np.float32(2 ** (semitones / _SEMITONES_PER_OCTAVE)),
            swapped=np.bool_(settings.channel_swap and random.uniform(Draw.CHANNEL_SWAP, 1)[0] < 0.5),
        )

    def _random(self, step: int, place: int) -> ExampleRandom:
        return ExampleRandom(self._config.random_seed, step, place)

    def _num_starts(self, chunks: Any) -> NDArray[np.int64]:
        """How many frames of each chunk a segment can start at."""
        num_starts: NDArray[np.int64] = self._num_frames[chunks].astype(np.int64) - (self._config.segment_frames - 1)
        return num_starts


def describe_batch(index: "ChunkIndex", config: ModelConfig, step: int) -> list[str]:
    """Song and offset of each example of one step's batch, ``"Artist - Title at 12.3 s"``.

    Args:
        index: The training chunks.
        config: Batch size, seed and lengths.
        step: Steps done before it, >= 0.

    Returns:
        As many as there are examples. With the augmentation ``remix``, an example may have stems of other songs too.
    """
    examples = TrainingExamples(index, config)
    places = []
    for place in range(config.batch_size):
        chunk, first_frame = examples.crop(step, place)
        row = index.row(chunk)
        offset_s = row["start_s"] + first_frame * config.hop_length / config.sample_rate
        places.append(f"{row['song']} at {offset_s:.1f} s")
    return places


class Remixer:
    """Draws a chunk of another song for each stem of a remixed example."""

    def __init__(self, index: "ChunkIndex", num_stems: int) -> None:
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
        # With fewer songs than stems, they are repeated in the same order.
        songs = np.array([drawn[stem % num_drawn] for stem in range(self._num_stems)], np.int64)
        # If the own song is among the drawn ones, the song drawn for the kept stem, which needs none, replaces it.
        songs[songs == own] = songs[kept]
        songs[kept] = own
        return songs, kept


def num_source_frames(random: ExampleRandom, settings: AugmentationConfig, segment_frames: int) -> int:
    """How many frames of a chunk become the frames of a segment.

    With `time_stretch` the music becomes ``1 - time_stretch`` to ``1 + time_stretch`` times as long.
    """
    if not settings.time_stretch:
        return segment_frames
    tempo = float(1 + settings.time_stretch * (2 * random.uniform(Draw.TEMPO, 1)[0] - 1))
    return round(segment_frames / tempo)


def stretched_from(
    first_frames: NDArray[np.int64], segment_frames: int, num_frames: int, available: NDArray[np.int64]
) -> NDArray[np.int64]:
    """First of ``num_frames`` frames that have their middle where a segment has it, as far as the chunk's ends allow.

    So an example stays at its place in the song when time stretch is switched on.

    Args:
        first_frames: The segments', of any shape.
        segment_frames: The segments' length.
        num_frames: `num_source_frames`, at most ``available``.
        available: Frames of the chunks.
    """
    around_the_middle = first_frames - (num_frames - segment_frames) // 2
    return np.clip(around_the_middle, 0, available - num_frames)


def _first_of_shuffled(count: int, uniform: list[float]) -> list[int]:
    """As many of the numbers below ``count``, all different, as there are random numbers from 0 to below 1.

    The first steps of Fisher and Yates' shuffle, without the list to be shuffled: ``moved`` holds the
    numbers that are not at their own place.
    """
    moved: dict[int, int] = {}
    drawn = []
    for place, share in enumerate(uniform):
        other = place + int(share * (count - place))
        drawn.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return drawn
