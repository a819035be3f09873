"""How much of an estimate's error is spatial distortion, interference and artifacts, window by window."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.distortion_filters import DistortionFilters
from sepcore.evaluation.bsseval.sdr import decibels
from sepcore.evaluation.bsseval.signals import Channels, Signals, read_channels
from sepcore.system.cores import num_cores

Energies = NDArray[np.float64]
Spectra = NDArray[np.complex128]

# Of longer windows an FFT and the filters' spectra would take too much memory: they go through `_LongWindows`.
_LONGEST_SAMPLES = 1 << 16
_WINDOWS_AT_ONCE = 4
# So few that all that is computed of them stays in a core's cache.
_BINS_AT_ONCE = 1024
_LONG_FFT_SAMPLES = 1 << 14
_LONG_BLOCKS_AT_ONCE = 4


def window_ratios(
    references: Signals, estimates: Signals, filters: DistortionFilters, windows: Sequence[slice]
) -> NDArray[np.float64]:
    """ISR, SIR and SAR of every window, ``(3, stems, windows)`` in dB; infinite where there is no such distortion.

    As museval does, a window is cut out first and filtered alone: its signals are zero before it and after it, and what
    the filters ring on counts.

    Args:
        references: True stems.
        estimates: Their estimates.
        filters: Of the whole track.
        windows: Samples of each, all of one length.
    """
    length = windows[0].stop - windows[0].start
    energies_of = (_Windows if length <= _LONGEST_SAMPLES else _LongWindows)(filters, length).energies
    batches = [windows[first : first + _WINDOWS_AT_ONCE] for first in range(0, len(windows), _WINDOWS_AT_ONCE)]
    with ThreadPoolExecutor(num_cores()) as pool:
        energies = np.concatenate(
            list(pool.map(lambda batch: energies_of(references, estimates, batch), batches)), axis=2
        )
    true, spatial, own, interference, everything, artifacts = energies.reshape(
        6, references.shape[0], -1, len(windows)
    ).sum(axis=2)
    return np.stack([decibels(true, spatial), decibels(own, interference), decibels(everything, artifacts)])


class _Windows:
    """Energies of windows from their spectra (Parseval's theorem): no inverse FFT is needed."""

    def __init__(self, filters: DistortionFilters, length: int) -> None:
        tail = filters.of_all.shape[2] - 1
        # Even, so that there is a highest bin, which stands for one, as the lowest does, and the others for two.
        self._fft_samples = 2 * int(scipy.fft.next_fast_len(-(-(length + tail) // 2), real=True))
        # (bins, targets of all and of own, reference channels): one matrix product a bin filters and adds up.
        self._filters = np.ascontiguousarray(np.fft.rfft(filters.both(), n=self._fft_samples).transpose(2, 1, 0))

    def energies(self, references: Signals, estimates: Signals, windows: Sequence[slice]) -> Energies:
        """Of true stem, spatial distortion, both, interference, all of these, artifacts: ``(6, channels, windows)``."""
        whole = [self._spectra(signals, windows) for signals in (references, estimates)]
        sums = np.zeros((6, len(whole[0]), len(windows)))
        for first in range(0, len(self._filters), _BINS_AT_ONCE):
            bins = slice(first, first + _BINS_AT_ONCE)
            true, estimate = (np.ascontiguousarray(spectra[:, :, bins].transpose(2, 0, 1)) for spectra in whole)
            by_all, by_own = np.split(self._filters[bins] @ true, 2, axis=1)
            parts = (true, by_own - true, by_own, by_all - by_own, by_all, estimate - by_all)
            sums += [_squares(part) for part in parts]
        energies: Energies = 2 * sums / self._fft_samples
        return energies

    def _spectra(self, signals: Signals, windows: Iterable[slice]) -> Spectra:
        """``(channels, windows, bins)``; the lowest and the highest bin at half of their power."""
        samples = [
            read_channels(signals, window.start, window.stop, after=self._fft_samples - (window.stop - window.start))
            for window in windows
        ]
        spectra = np.fft.rfft(np.stack(samples, axis=1))
        spectra[:, :, [0, -1]] *= np.sqrt(0.5)
        return spectra


def _squares(spectra: Spectra) -> Energies:
    """``(bins, channels, windows)`` to ``(channels, windows)``."""
    values = np.ascontiguousarray(spectra).view(np.float64)
    sums: Energies = np.einsum("bcw,bcw->cw", values, values).reshape(*spectra.shape[1:], 2).sum(axis=2)
    return sums


class _LongWindows:
    """Energies of windows by blocks that overlap by the filters' tail (overlap-save), in bounded memory.

    Args:
        filters: Of the whole track.
        length: Of the windows in samples.
    """

    def __init__(self, filters: DistortionFilters, length: int) -> None:
        self._tail = filters.of_all.shape[2] - 1
        self._length = length + self._tail
        self._advance = _LONG_FFT_SAMPLES - self._tail
        # (bins, targets of all and of own, reference channels): one matrix product a bin filters and adds up.
        self._filters = np.ascontiguousarray(np.fft.rfft(filters.both(), n=_LONG_FFT_SAMPLES).transpose(2, 1, 0))

    def energies(self, references: Signals, estimates: Signals, windows: Sequence[slice]) -> Energies:
        """Of true stem, spatial distortion, both, interference, all of these, artifacts: ``(6, channels, windows)``."""
        step = self._advance * _LONG_BLOCKS_AT_ONCE
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
        blocks = np.lib.stride_tricks.sliding_window_view(padded, _LONG_FFT_SAMPLES, axis=1)[:, :: self._advance]
        spectra = np.ascontiguousarray(np.fft.rfft(blocks).transpose(2, 0, 1))
        products = np.ascontiguousarray((self._filters @ spectra).transpose(1, 2, 0))
        # The first samples of a block lack what came before it: they are those that overlap.
        return np.fft.irfft(products, n=_LONG_FFT_SAMPLES)[:, :, self._tail :].reshape(len(products), -1)[
            :, :num_samples
        ]


def _cut(signals: Signals, window: slice, start: int, stop: int) -> Channels:
    """Channels from ``start`` to ``stop``, counted from the window's start, with zeros outside of the window."""
    first = max(start, 0)
    last = max(min(stop, window.stop - window.start), first)
    return read_channels(signals, window.start + first, window.start + last, before=first - start, after=stop - last)
