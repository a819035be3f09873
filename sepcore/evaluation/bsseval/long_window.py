"""Filtering of windows of any length, a few blocks at a time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.distortion_filters import DistortionFilters
from sepcore.evaluation.bsseval.signals import Channels, Signals, read_channels

Energies = NDArray[np.float64]

_FFT_SAMPLES = 1 << 14
_BLOCKS_AT_ONCE = 4


class LongWindows:
    """Energies of windows by blocks that overlap by the filters' tail (overlap-save), in bounded memory.

    Args:
        filters: Of the whole track.
        length: Of the windows in samples.
    """

    def __init__(self, filters: DistortionFilters, length: int) -> None:
        self._tail = filters.of_all.shape[2] - 1
        self._length = length + self._tail
        self._advance = _FFT_SAMPLES - self._tail
        # (bins, targets of all and of own, reference channels): one matrix product a bin filters and adds up.
        self._filters = np.ascontiguousarray(np.fft.rfft(filters.both(), n=_FFT_SAMPLES).transpose(2, 1, 0))

    def energies(self, references: Signals, estimates: Signals, windows: Sequence[slice]) -> Energies:
        """Of true stem, spatial distortion, both, interference, all of these, artifacts: ``(6, channels, windows)``."""
        step = self._advance * _BLOCKS_AT_ONCE
        sums = np.zeros((6, references.shape[0] * references.shape[2], len(windows)))
        for index, window in enumerate(windows):
            for start in range(0, self._length, step):
                sums[:, :, index] += self._part(references, estimates, window, start, min(start + step, self._length))
        return sums

    def _part(self, references: Signals, estimates: Signals, window: slice, start: int, stop: int) -> Energies:
        before = _cut(references, window, start - self._tail, stop)
        by_all, by_own = np.split(self._filtered(before), 2)
        true, estimate = before[:, self._tail :], _cut(estimates, window, start, stop)
        parts = (true, by_own - true, by_own, by_all - by_own, by_all, estimate - by_all)
        return np.stack([np.einsum("ct,ct->c", part, part) for part in parts])

    def _filtered(self, samples: Channels) -> Channels:
        """``(channels, tail + n)`` of the references to ``(targets of all and of own, n)``."""
        num_samples = samples.shape[1] - self._tail
        num_blocks = -(-num_samples // self._advance)
        padded = np.pad(samples, ((0, 0), (0, num_blocks * self._advance - num_samples)))
        blocks = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SAMPLES, axis=1)[:, :: self._advance]
        spectra = np.ascontiguousarray(np.fft.rfft(blocks).transpose(2, 0, 1))
        products = np.ascontiguousarray((self._filters @ spectra).transpose(1, 2, 0))
        # The first samples of a block lack what came before it: they are those that overlap.
        return np.fft.irfft(products, n=_FFT_SAMPLES)[:, :, self._tail :].reshape(len(products), -1)[:, :num_samples]


def _cut(signals: Signals, window: slice, start: int, stop: int) -> Channels:
    """Channels from ``start`` to ``stop``, counted from the window's start, with zeros outside of the window."""
    first = max(start, 0)
    last = max(min(stop, window.stop - window.start), first)
    return read_channels(signals, window.start + first, window.start + last, before=first - start, after=stop - last)
