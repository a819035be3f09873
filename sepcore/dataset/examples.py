"""Draw training examples: where each comes from and how it is varied, before anything is read."""

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
"""Raised whenever the same seed gives other examples, with which an older run cannot resume."""
_SEMITONES_PER_OCTAVE = 12


class Draw(IntEnum):
    """The streams of random numbers: one for each kind of draw, so that augmentations do not influence each other."""

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
    """Random numbers of one training example, which do not depend on what was drawn before.

    They come from Philox, a counter-based generator: its key is the seed and the kind of draw, its counter the step and
    the place in the batch. NumPy keeps the raw numbers the same in all versions; its `Generator` does not promise that,
    so the numbers are converted here.

    References:
        J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """

    seed: int  # of the run; all three are in [0, 2^64)
    step: int  # steps before this example's
    place: int  # place in the step's batch

    def uniform(self, draw: Draw, count: int) -> NDArray[np.float64]:
        """The first numbers of a stream, in [0, 1), ``(count,)``."""
        raw = _raw(self.seed, draw, (self.place, self.step), count)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53  # the 53 bits that a float64 holds

    def below(self, draw: Draw, limits: NDArray[np.int64]) -> NDArray[np.int64]:
        """An integer in [0, limit) for each limit (>= 1), ``(count,)``."""
        return np.floor(self.uniform(draw, len(limits)) * limits).astype(np.int64)


def epoch_order(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """The order of the chunks in one epoch, int64 ``(count,)``."""
    return np.argsort(_raw(seed, Draw.ORDER, (0, epoch), count), kind="stable")


def _raw(seed: int, draw: Draw, at: tuple[int, int], count: int) -> NDArray[np.uint64]:
    # The lower half of the counter counts up within the stream.
    key, counter = np.array([seed, draw], np.uint64), np.array([0, 0, *at], np.uint64)
    raw: NDArray[np.uint64] = np.random.Philox(key=key, counter=counter).random_raw(count)
    return raw


class Example(NamedTuple):
    """What was drawn for an example, as NumPy values or as tensors."""

    chunks: Any  # the number of each stem's chunk in the index, int64 ``(stems,)``; all the same unless remixed
    first_frames: Any  # the first frame of each stem's segment in its chunk, int64 ``(stems,)``
    num_frames: Any  # frames to read, which are resampled to those of a segment; int64
    remixed: Any  # whether the stems come from different chunks, and the mixture is made from them
    gains: Any  # a factor for each stem, float32 ``(stems,)``
    pitch_factor: Any  # ratio of the frequencies, float32
    swapped: Any  # whether the channels are reversed


class TrainingExamples:
    """The examples of a training run: each depends only on the seed, its step and its place in the step's batch.

    Every epoch uses each chunk once, in a new order, with a segment from a random place in it.
    """

    def __init__(self, index: "ChunkIndex", config: ModelConfig) -> None:
        self._config, self._num_frames = config, index.length
        self._remixer = Remixer(index, len(config.instruments))
        # Two: around the end of an epoch, examples of both epochs are drawn in turn.
        self._order = lru_cache(maxsize=2)(lambda epoch: epoch_order(config.random_seed, epoch, len(index)))

    def crop(self, step: int, place: int) -> tuple[int, int]:
        """The number of the example's own chunk in the index, and the first frame of its segment."""
        epoch, place_in_epoch = divmod(step * self._config.batch_size + place, len(self._num_frames))
        chunk = int(self._order(epoch)[place_in_epoch])
        (first_frame,) = self._random(step, place).below(Draw.CROP, self._num_starts([chunk]))
        return chunk, int(first_frame)

    def example(self, step: int, place: int) -> Example:
        """Draw an example."""
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
        # All stems must be stretched alike.
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
        num_starts: NDArray[np.int64] = self._num_frames[chunks].astype(np.int64) - (self._config.segment_frames - 1)
        return num_starts


def describe_batch(index: "ChunkIndex", config: ModelConfig, step: int) -> list[str]:
    """Song and offset of each example of one step's batch, ``"Artist - Title at 12.3 s"``.

    Steps are counted from 0. With the augmentation ``remix``, examples may have stems of other songs, too.
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
        """The chunks of a remixed example's stems, and the number of the stem that keeps the example's own chunk.

        The chunks are int64 ``(stems,)``, and of different songs if there are enough.
        """
        own = int(np.searchsorted(self._first_chunk, chunk, side="right")) - 1
        songs, kept = self.songs(random, own)
        chunks = self._first_chunk[songs] + random.below(Draw.REMIX_CHUNKS, self._num_chunks[songs])
        chunks[kept] = chunk
        return chunks, kept

    def songs(self, random: ExampleRandom, own: int) -> tuple[NDArray[np.int64], int]:
        """The songs of the stems, int64 ``(stems,)``, and the number of the stem that keeps the example's own song."""
        num_songs = len(self._first_chunk)
        num_drawn = min(self._num_stems, num_songs)
        first, *others = random.uniform(Draw.REMIX_SONGS, 1 + num_drawn).tolist()
        kept = int(first * self._num_stems)
        drawn = _first_of_shuffled(num_songs, others)
        # With fewer songs than stems, they repeat.
        songs = np.array([drawn[stem % num_drawn] for stem in range(self._num_stems)], np.int64)
        # If the own song was drawn, too, it is replaced by that of the kept stem, which does not need it.
        songs[songs == own] = songs[kept]
        songs[kept] = own
        return songs, kept


def num_source_frames(random: ExampleRandom, settings: AugmentationConfig, segment_frames: int) -> int:
    """How many frames of a chunk are stretched to a segment: the music becomes 1 ± ``time_stretch`` times as long."""
    if not settings.time_stretch:
        return segment_frames
    tempo = float(1 + settings.time_stretch * (2 * random.uniform(Draw.TEMPO, 1)[0] - 1))
    return round(segment_frames / tempo)


def stretched_from(
    first_frames: NDArray[np.int64], segment_frames: int, num_frames: int, available: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The first of ``num_frames`` frames around the middle of each segment, as far as the chunks' ends allow.

    So time stretch does not move an example in its song. ``first_frames`` of the segments and ``available`` frames of
    the chunks have the same shape; ``num_frames`` is at most ``available``.
    """
    around_the_middle = first_frames - (num_frames - segment_frames) // 2
    return np.clip(around_the_middle, 0, available - num_frames)


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
