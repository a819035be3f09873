"""Random numbers of training examples: each depends only on the seed, the kind of draw, the step and the place."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

DRAWS_VERSION = 3
"""Raised whenever the same seed gives other examples, with which an older run cannot resume."""


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
    POLARITY = 10
    TIME_SHIFT = 11
    ACTIVITY = 12
    ACTIVITY_STEM = 13
    ACTIVITY_CROP = 14


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

    def symmetric(self, draw: Draw, count: int) -> NDArray[np.float64]:
        """The first numbers of a stream, in [-1, 1), ``(count,)``."""
        return 2 * self.uniform(draw, count) - 1

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
