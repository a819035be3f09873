"""The SDR of BSSEval v4 alone: it needs no projection, so it costs next to nothing."""

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.frames import Stems, aligned, is_silent, window_slices


def sdr_frames(references: Stems, estimates: Stems, window: int = 44100, hop: int = 44100) -> NDArray[np.float64]:
    """Signal to distortion ratio of every window: the stem's energy over the energy of the error.

    Args:
        references: True stems, ``(stems, samples, channels)``.
        estimates: Their estimates, cut or filled with zeros to the references' length.
        window: Length of a window in samples; a shorter track is one window.
        hop: Samples from one window to the next.

    Returns:
        ``(stems, windows)`` float64 in dB; infinite for a perfect estimate. NaN where `bss_eval` has it: for every stem
        in a window where one of the signals is silent, and for a stem whose reference or estimate is silent throughout.

    Raises:
        ValueError: if the shapes do not fit or a sample is NaN.
    """
    references, estimates = aligned(references, estimates)
    silent_references, silent_estimates = is_silent(references), is_silent(estimates)
    unscored = silent_references | silent_estimates
    slices = window_slices(references.shape[1], window, hop)
    sdr = np.full((len(references), len(slices)), np.nan)
    for index, part in enumerate(slices):
        reference, estimate = references[:, part].astype(np.float64), estimates[:, part].astype(np.float64)
        # A signal that is silent throughout says nothing about the others, so it does not spoil their windows.
        if is_silent(reference)[~silent_references].any() or is_silent(estimate)[~silent_estimates].any():
            continue
        energy = np.square(reference).sum(axis=(1, 2))
        error = np.square(reference - estimate).sum(axis=(1, 2))
        with np.errstate(divide="ignore"):
            sdr[:, index] = 10 * np.log10(np.divide(energy, error, where=~unscored, out=np.full_like(energy, np.nan)))
    return sdr
