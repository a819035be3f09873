"""BSSEval v4 as museval defines it: SDR, ISR, SIR and SAR of every window."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sepcore.evaluation.bsseval.distortion_filters import correlate, solve_filters
from sepcore.evaluation.bsseval.projections import window_ratios
from sepcore.evaluation.bsseval.sdr import sdr_of_windows
from sepcore.evaluation.bsseval.signals import (
    ChosenStems,
    Signals,
    Stems,
    aligned,
    is_silent,
    silent_throughout,
    window_slices,
)
from sepcore.evaluation.choices import ScoringEngine

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
                ratios = window_ratios(true, estimated, filters, [windows[index] for index in heard])
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
