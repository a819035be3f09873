"""Stems that are scored a piece at a time, so that memory does not grow with their length; windows and silence."""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sepcore.system.threads import num_cores

Stems = NDArray[np.floating[Any]]
Channels = NDArray[np.float64]

_BLOCK_SAMPLES = 1 << 18
_SAMPLE_BYTES = 4
_FIRST_SAMPLES = 64
_MOST_CHANNELS = 64

_logger = logging.getLogger(__name__)


class Signals(Protocol):
    """Stems of one length and rate, in an array or in a file; safe to read from several threads."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(stems, samples, channels)``."""
        ...

    def read(self, start: int, stop: int) -> Stems:
        """Samples from ``start`` to ``stop``, ``(stems, stop - start, channels)``; zeros after the end."""
        ...


class ArraySignals:
    """Stems ``(stems, samples, channels)`` in memory, cut or extended with zeros to ``num_samples``; not copied."""

    def __init__(self, stems: Stems, num_samples: int | None = None) -> None:
        self._stems = stems[:, :num_samples]
        self.shape: tuple[int, int, int] = (stems.shape[0], num_samples or stems.shape[1], stems.shape[2])

    def read(self, start: int, stop: int) -> Stems:
        """See `Signals`."""
        return filled(self._stems[:, start:stop], stop - start)


class ChosenStems:
    """The stems of other signals at ``indices``, which may repeat."""

    def __init__(self, signals: Signals, indices: NDArray[np.intp]) -> None:
        self._signals, self._indices = signals, indices
        self.shape: tuple[int, int, int] = (len(indices), *signals.shape[1:])

    def read(self, start: int, stop: int) -> Stems:
        """See `Signals`."""
        return self._signals.read(start, stop)[self._indices]


class Spool:
    """Float32 stems in one open, empty file each, by its descriptor: appended in pieces, read anywhere."""

    def __init__(self, descriptors: Sequence[int], num_channels: int) -> None:
        self._descriptors = descriptors
        self._row_bytes = num_channels * _SAMPLE_BYTES
        self.shape: tuple[int, int, int] = (len(descriptors), 0, num_channels)

    def append(self, stems: Stems) -> None:
        """Add samples ``(stems, samples, channels)`` at the end; OSError if the disk is full."""
        for descriptor, stem in zip(self._descriptors, stems, strict=True):
            content = np.ascontiguousarray(stem, np.float32).reshape(-1).view(np.uint8).data
            at = self.shape[1] * self._row_bytes
            while content:
                written = os.pwrite(descriptor, content, at)
                content, at = content[written:], at + written
        self.resize(self.shape[1] + stems.shape[1])

    def resize(self, num_samples: int) -> None:
        """Cut the stems to this length, or extend them with zeros."""
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


@contextmanager
def spool(folder: Path, num_stems: int, num_channels: int) -> Iterator[Spool]:
    """An empty spool in anonymous temporary files on the disk of ``folder``; they vanish with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        # Unbuffered: read and written by their descriptors.
        files = [stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0)) for _ in range(num_stems)]
        yield Spool([file.fileno() for file in files], num_channels)


def blocks(signals: Signals) -> Iterator[Stems]:
    """All samples in consecutive pieces ``(stems, samples, channels)``."""
    for part in block_slices(0, signals.shape[1]):
        yield signals.read(part.start, part.stop)


def block_slices(start: int, stop: int) -> Iterator[slice]:
    """Samples from ``start`` to ``stop`` in consecutive pieces that are read at once."""
    for first in range(start, stop, _BLOCK_SAMPLES):
        yield slice(first, min(first + _BLOCK_SAMPLES, stop))


def filled(stems: Stems, num_samples: int) -> Stems:
    """Stems extended with zeros to ``num_samples`` if they are shorter."""
    missing = num_samples - stems.shape[1]
    return np.pad(stems, ((0, 0), (0, missing), (0, 0))) if missing > 0 else stems


def read_channels(signals: Signals, start: int, stop: int, *, before: int = 0, after: int = 0) -> Channels:
    """Samples from ``start`` to ``stop`` by channel, with this many zeros before and after them.

    Returns:
        float64 ``(stems * channels, before + stop - start + after)``, a stem's channels together.
    """
    part = signals.read(start, stop)
    num_stems, num_samples, num_channels = part.shape
    channels = np.zeros((num_stems, num_channels, before + num_samples + after))
    # One at a time: numpy is slow at swapping axes if one is this short.
    for channel in range(num_channels):
        channels[:, channel, before : before + num_samples] = part[:, :, channel]
    return channels.reshape(num_stems * num_channels, -1)


def aligned(references: Stems, estimates: Stems) -> tuple[Signals, Signals]:
    """References, and estimates cut or extended with zeros to their length, as museval does.

    ValueError if they are not ``(stems, samples, channels)``, are empty, or differ in more than the samples.
    """
    references, estimates = np.asarray(references), np.asarray(estimates)
    for name, stems in (("references", references), ("estimates", estimates)):
        if stems.ndim != 3 or not stems.size:
            raise ValueError(
                f"{name} has shape {stems.shape}; expected (stems, samples, channels), none of them 0. "
                "Stack the stems on axis 0; a mono stem is stem[:, None]."
            )
        if stems.shape[2] > max(stems.shape[1], _MOST_CHANNELS):
            raise ValueError(
                f"{name} has shape {stems.shape}, more channels than samples; expected (stems, samples, channels). "
                "Move the channels to the end: numpy.moveaxis(stems, 1, 2)."
            )
    if references.shape[::2] != estimates.shape[::2]:
        raise ValueError(
            f"references has shape {references.shape}, estimates {estimates.shape}; stems and channels must be equal "
            "in number. Leave out stems that have no estimate; convert both to the same channels."
        )
    num_samples = references.shape[1]
    missing = num_samples - estimates.shape[1]
    if missing > 0:
        _logger.warning("estimates are %d samples shorter than the references; filled with zeros", missing)
    elif missing < 0:
        _logger.warning("estimates are %d samples longer than the references; cut", -missing)
    return ArraySignals(references), ArraySignals(estimates, num_samples)


def window_slices(num_samples: int, window: int, hop: int) -> list[slice]:
    """The whole windows of a track, in samples; the rest is not scored, and a shorter track is one window."""
    if window < 1 or hop < 1:
        raise ValueError(f"window is {window} and hop {hop}; expected samples, at least 1, such as the sample rate.")
    if window >= num_samples:
        return [slice(0, num_samples)]
    return [slice(start, start + window) for start in range(0, num_samples - window + 1, hop)]


def is_silent(stems: Stems) -> NDArray[np.bool_]:
    """Which stems ``(stems, samples, channels)`` are silent as museval sees it: channels sum to 0 in every sample."""

    def sums_to_zero(samples: Stems) -> bool:
        return not samples.sum(axis=1, dtype=np.float64).any()

    # The first few samples nearly always decide.
    return np.array(
        [sums_to_zero(stem[:_FIRST_SAMPLES]) and sums_to_zero(stem[_FIRST_SAMPLES:]) for stem in stems], bool
    )


def silent_throughout(signals: Signals, name: str) -> NDArray[np.bool_]:
    """Which stems are silent from start to end; ValueError with ``name`` if a sample is NaN or infinite."""

    def silent_in(part: slice) -> NDArray[np.bool_]:
        block = signals.read(part.start, part.stop)
        # The quick sum is not finite if a sample is not, and otherwise only if it overflows.
        if not np.isfinite(block.sum()) and not np.isfinite(block).all():
            raise ValueError(f"{name} holds NaN or infinite samples. Separate or read the track again.")
        return is_silent(block)

    with ThreadPoolExecutor(num_cores()) as pool:
        silent = np.stack(list(pool.map(silent_in, block_slices(0, signals.shape[1]))))
    everywhere: NDArray[np.bool_] = np.logical_and.reduce(silent)
    return everywhere
