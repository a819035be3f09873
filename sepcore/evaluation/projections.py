"""How much of an estimate's error is spatial distortion, interference and artifacts, window by window."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from sepcore.cores import num_cores
from sepcore.evaluation.distortion_filters import DistortionFilters
from sepcore.evaluation.sdr import decibels
from sepcore.evaluation.signals import Signals, read_channels

Samples = NDArray[np.float64]

_LONGEST_FFT = 1 << 14
# Blocks filtered at once, so that the memory for a long window does not grow with it.
_BLOCKS_AT_ONCE = 4


def window_ratios(
    references: Signals, estimates: Signals, filters: DistortionFilters, windows: Sequence[slice]
) -> Samples:
    """ISR, SIR and SAR of every window, ``(3, stems, windows)`` in dB; infinite where there is no such distortion.

    As museval does, a window is cut out first and filtered alone: its signals are zero before it and after it, and what
    the filters ring on counts.
    """
    longest = max((window.stop - window.start for window in windows), default=1)
    filtering = _Filtering(filters, longest)
    num_stems = references.shape[0]

    def ratios(window: slice) -> Samples:
        energies = np.zeros((6, num_stems))
        length = window.stop - window.start + filtering.tail
        for start in range(0, length, filtering.advance * _BLOCKS_AT_ONCE):
            stop = min(start + filtering.advance * _BLOCKS_AT_ONCE, length)
            target = _cut(references, window, start - filtering.tail, stop)
            by_all, by_own = filtering(target)
            target = target[:, filtering.tail :]
            estimate = _cut(estimates, window, start, stop)
            parts = (target, by_own - target, by_own, by_all - by_own, by_all, estimate - by_all)
            energies += [np.einsum("ct,ct->c", part, part).reshape(num_stems, -1).sum(axis=1) for part in parts]
        true, spatial, own, interference, everything, artifacts = energies
        return np.stack([decibels(true, spatial), decibels(own, interference), decibels(everything, artifacts)])

    with ThreadPoolExecutor(num_cores()) as pool:
        return np.stack(list(pool.map(ratios, windows)), axis=2)


def _cut(signals: Signals, window: slice, start: int, stop: int) -> Samples:
    """Channels from ``start`` to ``stop``, counted from the window's start, with zeros outside of the window."""
    first = max(start, 0)
    last = max(min(stop, window.stop - window.start), first)
    return read_channels(signals, window.start + first, window.start + last, before=first - start, after=stop - last)


class _Filtering:
    """References through both sets of filters, by FFTs of blocks that overlap by the filters' tail (overlap-save)."""

    def __init__(self, filters: DistortionFilters, longest_window: int) -> None:
        self.tail = filters.of_all.shape[2] - 1
        # The smallest power of 2 that holds a window and what the filters ring on.
        self._fft_samples = min(1 << (longest_window + 2 * self.tail).bit_length(), _LONGEST_FFT)
        self.advance = self._fft_samples - self.tail
        both = np.concatenate([filters.of_all, filters.of_own], axis=1)
        # (bins, targets of both sets, reference channels): one matrix product a bin filters and adds up.
        self._spectra = np.ascontiguousarray(np.fft.rfft(both, n=self._fft_samples).transpose(2, 1, 0))

    def __call__(self, samples: Samples) -> tuple[Samples, Samples]:
        """``(channels, tail + n)`` of the references to ``(channels, n)`` through `of_all` and through `of_own`."""
        num_samples = samples.shape[1] - self.tail
        num_blocks = -(-num_samples // self.advance)
        padded = np.pad(samples, ((0, 0), (0, num_blocks * self.advance - num_samples)))
        blocks = np.lib.stride_tricks.sliding_window_view(padded, self._fft_samples, axis=1)[:, :: self.advance]
        spectra = np.ascontiguousarray(np.fft.rfft(blocks).transpose(2, 0, 1))
        products = np.ascontiguousarray((self._spectra @ spectra).transpose(1, 2, 0))
        # The first samples of a block lack what came before it: they are those that overlap.
        filtered = np.fft.irfft(products, n=self._fft_samples)[:, :, self.tail :].reshape(len(products), -1)
        of_all, of_own = np.split(filtered[:, :num_samples], 2)
        return of_all, of_own
