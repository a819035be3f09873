"""Random numbers of training examples, each a function of what it is drawn for and of nothing drawn before.

They come from Philox, a counter-based generator: the seed and the kind of draw are its key, the step and the place in
the batch its counter, all of them at full width. NumPy keeps the raw numbers of its generators the same in all
versions; its `Generator` makes no such promise, so the numbers are converted here.

References:
    J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

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
    """Random numbers of one training example.

    Attributes:
        seed: The run's, from 0 to below 2^64, as the other two are.
        step: Steps before that of the example.
        place: Of the example in the step's batch, from 0.
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
