"""Stems that are scored a piece at a time, so that memory does not grow with their length."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Stems = NDArray[np.floating[Any]]
Channels = NDArray[np.float64]

_BLOCK_SAMPLES = 1 << 18


class Signals(Protocol):
    """Stems of one length and rate, in an array or in a file; may be read from several threads."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(stems, samples, channels)``."""
        ...

    def read(self, start: int, stop: int) -> Stems:
        """Samples from ``start`` to ``stop``, ``(stems, stop - start, channels)``; zeros after the end."""
        ...


class ArraySignals:
    """Stems in memory.

    Args:
        stems: ``(stems, samples, channels)``, of any floating type; not copied.
        num_samples: Length to take them for: cut, or filled with zeros as they are read; None: their own.
    """

    def __init__(self, stems: Stems, num_samples: int | None = None) -> None:
        self._stems = stems[:, :num_samples]
        self.shape: tuple[int, int, int] = (stems.shape[0], num_samples or stems.shape[1], stems.shape[2])

    def read(self, start: int, stop: int) -> Stems:
        """See `Signals`."""
        return filled(self._stems[:, start:stop], stop - start)


class ChosenStems:
    """Some stems of others: those at ``indices``, which may name one more than once."""

    def __init__(self, signals: Signals, indices: NDArray[np.intp]) -> None:
        self._signals, self._indices = signals, indices
        self.shape: tuple[int, int, int] = (len(indices), *signals.shape[1:])

    def read(self, start: int, stop: int) -> Stems:
        """See `Signals`."""
        return self._signals.read(start, stop)[self._indices]


def blocks(signals: Signals) -> Iterator[Stems]:
    """All of the samples in consecutive pieces, ``(stems, samples, channels)`` each."""
    for part in block_slices(0, signals.shape[1]):
        yield signals.read(part.start, part.stop)


def block_slices(start: int, stop: int) -> Iterator[slice]:
    """Samples from ``start`` to ``stop`` in consecutive pieces that are read at once."""
    for first in range(start, stop, _BLOCK_SAMPLES):
        yield slice(first, min(first + _BLOCK_SAMPLES, stop))


def filled(stems: Stems, num_samples: int) -> Stems:
    """Stems with zeros after their end, where they have fewer samples."""
    missing = num_samples - stems.shape[1]
    return np.pad(stems, ((0, 0), (0, missing), (0, 0))) if missing > 0 else stems


def read_channels(signals: Signals, start: int, stop: int, *, before: int = 0, after: int = 0) -> Channels:
    """Samples from ``start`` to ``stop`` by channel, with so many zeros before and after them.

    Returns:
        float64 ``(stems * channels, before + stop - start + after)``, a stem's channels together.
    """
    part = signals.read(start, stop)
    num_stems, num_samples, num_channels = part.shape
    channels = np.zeros((num_stems, num_channels, before + num_samples + after))
    # One after the other: numpy is slow at swapping axes of which one is as short as this.
    for channel in range(num_channels):
        channels[:, channel, before : before + num_samples] = part[:, :, channel]
    return channels.reshape(num_stems * num_channels, -1)
