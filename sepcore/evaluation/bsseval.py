"""BSSEval v4 as museval defines it: SDR, ISR, SIR and SAR of every window."""

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.frames import Stems, aligned, is_silent, window_slices

Frames = NDArray[np.float64]


def bss_eval(
    references: Stems, estimates: Stems, window: int = 44100, hop: int = 44100, engine: str = "museval"
) -> tuple[Frames, Frames, Frames, Frames]:
    """Score estimates window by window, with one set of 512-tap filters for the whole track.

    Args:
        references: True stems, linear amplitude, ``(stems, samples, channels)``.
        estimates: Their estimates, in the same order; cut or filled with zeros to the references' length.
        window: Length of a window in samples; a shorter track is one window.
        hop: Samples from one window to the next.
        engine: ``museval``: museval's own computation.

    Returns:
        SDR, ISR, SIR and SAR in dB, each ``(stems, windows)`` float64. NaN for every stem in a window where one of the
        signals is silent, as in museval. A stem whose reference or estimate is silent throughout, for which museval
        raises, is NaN in every window and leaves the others' scores alone.

    Raises:
        ValueError: if the shapes do not fit, a sample is NaN, or the engine is unknown.

    References:
        F.-R. Stöter, A. Liutkus and N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018.
    """
    if engine != "museval":
        raise ValueError(f"engine is {engine!r}; expected 'museval'.")
    references, estimates = aligned(references, estimates)
    scores = np.full((4, len(references), len(window_slices(references.shape[1], window, hop))), np.nan)
    present = ~is_silent(references)
    scored = present & ~is_silent(estimates)
    if scored.any():
        # A reference without an estimate still interferes with the others; it stands in for its own estimate.
        stand_ins = np.where(scored[:, None, None], estimates, references)
        scores[:, scored] = _museval(references[present], stand_ins[present], window, hop)[:, scored[present]]
    sdr, isr, sir, sar = scores
    return sdr, isr, sir, sar


def _museval(references: Stems, estimates: Stems, window: int, hop: int) -> NDArray[np.float64]:
    import museval

    # float64: in float32 its sums for silence could differ from those of `sdr_frames`.
    both = (references.astype(np.float64), estimates.astype(np.float64))
    return np.stack(museval.evaluate(*both, win=window, hop=hop, mode="v4", padding=False))
