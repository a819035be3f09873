"""Stems that are scored a piece at a time, so that memory does not grow with their length."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Stems = NDArray[np.floating[Any]]
Channels = NDArray[np.float64]

_BLOCK_SAMPLES = 1 << 18
_SAMPLE_BYTES = 4


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


class Spool:
    """Stems of one length as float32, each in an anonymous temporary file: written as they come, read anywhere.

    Args:
        descriptors: Of an open, empty file for each stem.
        num_channels: Channels of each.
    """

    def __init__(self, descriptors: Sequence[int], num_channels: int) -> None:
        self._descriptors = descriptors
        self.shape: tuple[int, int, int] = (len(descriptors), 0, num_channels)

    def append(self, stems: Stems) -> None:
        """Add samples ``(stems, samples, channels)`` at the end; OSError where the disk is full."""
        for descriptor, stem in zip(self._descriptors, stems, strict=True):
            content = np.ascontiguousarray(stem, np.float32).reshape(-1).view(np.uint8).data
            at = self.shape[1] * self._row_bytes
            while content:
                written = os.pwrite(descriptor, content, at)
                content, at = content[written:], at + written
        self.resize(self.shape[1] + stems.shape[1])

    def resize(self, num_samples: int) -> None:
        """Take the stems for this long: cut, or with zeros at the end."""
        self.shape = (self.shape[0], num_samples, self.shape[2])

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """See `Signals`."""
        stems = np.zeros((self.shape[0], stop - start, self.shape[2]), np.float32)
        num_samples = max(min(stop, self.shape[1]) - start, 0)
        for descriptor, stem in zip(self._descriptors, stems, strict=True):
            content, at = stem[:num_samples].reshape(-1).view(np.uint8).data, start * self._row_bytes
            while num_read := os.preadv(descriptor, [content], at):  # nothing after the file's end: zeros
                content, at = content[num_read:], at + num_read
        return stems

    @property
    def _row_bytes(self) -> int:
        return self.shape[2] * _SAMPLE_BYTES


@contextmanager
def spool(folder: Path, num_stems: int, num_channels: int) -> Iterator[Spool]:
    """An empty spool on the disk of ``folder``; whatever ends the process, nothing is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Unbuffered: read and written by their descriptors.
        files = [stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0)) for _ in range(num_stems)]
        yield Spool([file.fileno() for file in files], num_channels)


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
