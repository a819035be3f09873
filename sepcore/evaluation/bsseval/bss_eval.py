"""BSSEval v4 as museval defines it: SDR, ISR, SIR and SAR of every window."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, get_args

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sepcore.evaluation.bsseval.distortion_filters import Filters, Spectra, correlate, solve_filters
from sepcore.evaluation.bsseval.sdr import decibels, sdr_of_windows
from sepcore.evaluation.bsseval.signals import (
    Channels,
    ChosenStems,
    Signals,
    Stems,
    aligned,
    is_silent,
    read_channels,
    silent_throughout,
    window_slices,
)
from sepcore.evaluation.choices import ScoringEngine
from sepcore.system.threads import num_cores

Frames = NDArray[np.float64]

NUM_TAPS = 512
"""Length of BSSEval's distortion filters in samples."""

# Of each reference's energy: about the noise that 16 bits put under music. With it, SIR and SAR of references decoded
# from mp3 to float are those of the same references at 16 bits, within 1.2 dB; museval's differ by up to 22 dB.
_STABLE_REGULARIZATION = 1e-8

# The number of BLAS threads belongs to the process: two callers that change it at once would restore the wrong one.
# Scoring two tracks at once gains nothing, since each uses all cores.
_one_at_a_time = threading.RLock()


def bss_eval(
    references: Stems, estimates: Stems, window: int = 44100, hop: int = 44100, engine: ScoringEngine = "fast"
) -> tuple[Frames, Frames, Frames, Frames]:
    """Score estimates window by window, with one set of 512-tap filters for the whole track.

    Args:
        references: True stems, linear amplitude, ``(stems, samples, channels)``.
        estimates: Their estimates, in the same order; cut or extended with zeros to the references' length.
        window: Length of a window in samples; a shorter track is one window.
        hop: Samples from one window to the next.
        engine: ``fast``: what museval computes, some thirty times faster. ``stable``: the same with filters that never
            depend on the signals' scale or the stems' order, as museval's do on music with an empty highest band.
            ``museval``: museval's own computation. SDR is the same from all three.

    Returns:
        SDR, ISR, SIR and SAR in dB, each ``(stems, windows)`` float64; infinite where there is no distortion of that
        kind. NaN for every stem in a window where one of the signals is silent, as in museval. A stem whose reference
        or estimate is silent throughout, for which museval raises, is NaN in every window and does not affect others.

    Raises:
        ValueError: if the shapes do not fit, a sample is NaN, or the engine is unknown.

    References:
        F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
    """
    sdr, isr, sir, sar = bss_eval_signals(*aligned(references, estimates), window, hop, engine)
    return sdr, isr, sir, sar


def bss_eval_signals(
    references: Signals, estimates: Signals, window: int, hop: int, engine: ScoringEngine = "fast"
) -> Frames:
    """As `bss_eval`, ``(4, stems, windows)``, for signals of one shape; only engine ``museval`` loads them whole."""
    if engine not in get_args(ScoringEngine):
        raise ValueError(f"engine is {engine!r}; expected one of {', '.join(get_args(ScoringEngine))}.")
    windows = window_slices(references.shape[1], window, hop)
    silent_references = silent_throughout(references, "references")
    silent_estimates = silent_throughout(estimates, "estimates")
    scores = np.full((4, references.shape[0], len(windows)), np.nan)
    scores[0] = sdr_of_windows(references, estimates, windows, silent_references, silent_estimates)
    # A reference without an estimate still interferes with the others.
    (present,) = np.nonzero(~silent_references)
    scored = ~silent_estimates[present]
    (heard,) = np.nonzero(~np.isnan(scores[0]).all(axis=0))
    if scored.any() and heard.size:
        true, estimated = ChosenStems(references, present), ChosenStems(estimates, present)
        if engine == "museval":
            ratios = _museval(true, estimated, window, hop)[..., heard]
        else:
            regularization = _STABLE_REGULARIZATION if engine == "stable" else 0.0
            with one_blas_thread():  # our own threads share its many small products
                auto, cross = correlate(true, estimated, NUM_TAPS)
            filters = solve_filters(auto, cross, true.shape[2], regularization)
            with one_blas_thread():
                ratios = _window_ratios(true, estimated, filters, [windows[index] for index in heard])
        scores[1:, present[scored][:, None], heard] = ratios[:, scored]
    return scores


def _museval(references: Signals, estimates: Signals, window: int, hop: int) -> Frames:
    """ISR, SIR and SAR as museval computes them, ``(3, stems, windows)``."""
    import museval

    # float64: in float32 museval's test for silence could disagree with `silent_throughout`.
    true, estimated = (signals.read(0, signals.shape[1]).astype(np.float64) for signals in (references, estimates))
    # museval refuses a silent estimate, which is not scored: its reference stands in.
    silent = is_silent(estimated)
    estimated[silent] = true[silent]
    return np.stack(museval.evaluate(true, estimated, win=window, hop=hop, mode="v4", padding=False)[1:])


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; callers in other threads wait for their turn.

    BLAS threads wait in busy loops: while a separation uses the cores, two of them score ten times slower than one.
    """
    with _one_at_a_time, threadpool_limits(limits=1, user_api="blas"):
        yield


Energies = NDArray[np.float64]

# An FFT of a longer window, and the filters' spectra, would take too much memory: see `_energies_of_long`.
_LONGEST_SAMPLES = 1 << 16
_WINDOWS_AT_ONCE = 4
# Few enough for a core's cache.
_BINS_AT_ONCE = 1024
_LONG_FFT_SAMPLES = 1 << 14
_LONG_BLOCKS_AT_ONCE = 4


def _window_ratios(
    references: Signals, estimates: Signals, filters: Filters, windows: Sequence[slice]
) -> NDArray[np.float64]:
    """ISR, SIR and SAR of every window, ``(3, stems, windows)`` in dB.

    As in museval, each window is cut out first and filtered alone: its signals are zero before and after it, and the
    ringing of the filters counts. ``filters`` are from `solve_filters`, windows all of one length.
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
