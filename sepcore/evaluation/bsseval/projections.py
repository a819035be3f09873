"""How much of an estimate's error is spatial distortion, interference and artifacts, window by window."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.distortion_filters import Filters, Spectra
from sepcore.evaluation.bsseval.sdr import decibels
from sepcore.evaluation.bsseval.signals import Channels, Signals, read_channels
from sepcore.system.cores import num_cores

Energies = NDArray[np.float64]

# An FFT of a longer window, and the filters' spectra, would take too much memory: see `_energies_of_long`.
_LONGEST_SAMPLES = 1 << 16
_WINDOWS_AT_ONCE = 4
# Few enough for a core's cache.
_BINS_AT_ONCE = 1024
_LONG_FFT_SAMPLES = 1 << 14
_LONG_BLOCKS_AT_ONCE = 4


def window_ratios(
    references: Signals, estimates: Signals, filters: Filters, windows: Sequence[slice]
) -> NDArray[np.float64]:
    """ISR, SIR and SAR of every window, ``(3, stems, windows)`` in dB; infinite where there is no such distortion.

    As in museval, each window is cut out first and filtered alone: its signals are zero before and after it, and the
    ringing of the filters counts.

    Args:
        references: True stems.
        estimates: Their estimates.
        filters: Of the whole track, from `solve_filters`.
        windows: Samples of each, all of one length.
    """
    length = windows[0].stop - windows[0].start
    tail = filters.shape[2] - 1
    # Even, so that the highest bin stands for one, as the lowest does, and the others for two.
    fft_samples = 2 * int(scipy.fft.next_fast_len(-(-(length + tail) // 2), real=True))
    is_long = length > _LONGEST_SAMPLES
    # (bins, targets, reference channels): one matrix product for each bin filters and adds up.
    spectra = np.ascontiguousarray(
        np.fft.rfft(filters, n=_LONG_FFT_SAMPLES if is_long else fft_samples).transpose(2, 1, 0)
    )
    energies_of = partial(_energies_of_long, tail=tail) if is_long else partial(_energies, fft_samples=fft_samples)
    batches = [windows[first : first + _WINDOWS_AT_ONCE] for first in range(0, len(windows), _WINDOWS_AT_ONCE)]
    with ThreadPoolExecutor(num_cores()) as pool:
        energies = np.concatenate(
            list(pool.map(lambda batch: energies_of(references, estimates, batch, spectra), batches)), axis=2
        )
    true, spatial, own, interference, everything, artifacts = energies.reshape(
        6, references.shape[0], -1, len(windows)
    ).sum(axis=2)
    return np.stack([decibels(true, spatial), decibels(own, interference), decibels(everything, artifacts)])


def _parts(
    true: NDArray[Any], estimate: NDArray[Any], by_all: NDArray[Any], by_own: NDArray[Any]
) -> list[NDArray[Any]]:
    """True stem, spatial distortion, both, interference, all of these, artifacts."""
    return [true, by_own - true, by_own, by_all - by_own, by_all, estimate - by_all]


def _energies(
    references: Signals, estimates: Signals, windows: Sequence[slice], filters: Spectra, *, fft_samples: int
) -> Energies:
    """Energies of `_parts`, ``(6, channels, windows)``, from their spectra (Parseval): no inverse FFT is needed."""

    def spectra(signals: Signals) -> Spectra:
        """``(channels, windows, bins)``; the lowest and the highest bin at half of their power."""
        samples = [
            read_channels(signals, window.start, window.stop, after=fft_samples - (window.stop - window.start))
            for window in windows
        ]
        of_windows = np.fft.rfft(np.stack(samples, axis=1))
        of_windows[:, :, [0, -1]] *= np.sqrt(0.5)
        return of_windows

    whole = [spectra(signals) for signals in (references, estimates)]
    sums = np.zeros((6, len(whole[0]), len(windows)))
    for first in range(0, len(filters), _BINS_AT_ONCE):
        bins = slice(first, first + _BINS_AT_ONCE)
        true, estimate = (np.ascontiguousarray(of_windows[:, :, bins].transpose(2, 0, 1)) for of_windows in whole)
        by_all, by_own = np.split(filters[bins] @ true, 2, axis=1)
        sums += [_squares(part) for part in _parts(true, estimate, by_all, by_own)]
    energies: Energies = 2 * sums / fft_samples
    return energies


def _squares(spectra: Spectra) -> Energies:
    """``(bins, channels, windows)`` to ``(channels, windows)``."""
    values = np.ascontiguousarray(spectra).view(np.float64)
    sums: Energies = np.einsum("bcw,bcw->cw", values, values).reshape(*spectra.shape[1:], 2).sum(axis=2)
    return sums


def _energies_of_long(
    references: Signals, estimates: Signals, windows: Sequence[slice], filters: Spectra, *, tail: int
) -> Energies:
    """As `_energies`, by blocks that overlap by the filters' tail (overlap-save), in bounded memory."""
    sums = np.zeros((6, references.shape[0] * references.shape[2], len(windows)))
    step = (_LONG_FFT_SAMPLES - tail) * _LONG_BLOCKS_AT_ONCE
    for index, window in enumerate(windows):
        length = window.stop - window.start + tail
        for start in range(0, length, step):
            stop = min(start + step, length)
            before = _cut(references, window, start - tail, stop)
            by_all, by_own = np.split(_filtered(before, filters, tail), 2)
            parts = _parts(before[:, tail:], _cut(estimates, window, start, stop), by_all, by_own)
            sums[:, :, index] += np.stack([np.einsum("ct,ct->c", part, part) for part in parts])
    return sums


def _filtered(samples: Channels, filters: Spectra, tail: int) -> Channels:
    """``(channels, tail + n)`` of the references to ``(targets, n)``."""
    num_samples, advance = samples.shape[1] - tail, _LONG_FFT_SAMPLES - tail
    num_blocks = -(-num_samples // advance)
    padded = np.pad(samples, ((0, 0), (0, num_blocks * advance - num_samples)))
    blocks = np.lib.stride_tricks.sliding_window_view(padded, _LONG_FFT_SAMPLES, axis=1)[:, ::advance]
    spectra = np.ascontiguousarray(np.fft.rfft(blocks).transpose(2, 0, 1))
    products = np.ascontiguousarray((filters @ spectra).transpose(1, 2, 0))
    # The first samples of a block lack what came before them: they overlap with the last block.
    filtered = np.fft.irfft(products, n=_LONG_FFT_SAMPLES)[:, :, tail:]
    return filtered.reshape(len(products), -1)[:, :num_samples]


def _cut(signals: Signals, window: slice, start: int, stop: int) -> Channels:
    """Channels from ``start`` to ``stop``, counted from the window's start, with zeros outside of the window."""
    first = max(start, 0)
    last = max(min(stop, window.stop - window.start), first)
    return read_channels(signals, window.start + first, window.start + last, before=first - start, after=stop - last)
