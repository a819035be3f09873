"""Scores of a whole track at once: global SDR and SI-SDR."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.frames import silent_throughout
from sepcore.evaluation.bsseval.sdr import decibels, products
from sepcore.evaluation.bsseval.signals import Signals, block_slices

# Keeps the ratio of a silent stem finite in the challenge's definition; here it only says how large it is.
_MDX_DELTA = 1e-7


GLOBAL_METRICS = {"global_sdr": "global_SDR", "si_sdr": "SI_SDR"}
"""The fields of `GlobalScores`, and their names in tables and files."""


@dataclass(frozen=True, eq=False)
class GlobalScores:
    """Of every stem, over all of its samples and channels; float64 ``(stems,)`` in dB, NaN of a silent one.

    Attributes:
        global_sdr: ``10 log10((sum s² + 1e-7) / (sum (s - ŝ)² + 1e-7))``, as the Music Demixing Challenge has it.
        si_sdr: Of the part of the estimate along the reference, to the rest of it; infinite if there is no rest.

    References:
        Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing 1, 2022;
        J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """

    global_sdr: NDArray[np.float64]
    si_sdr: NDArray[np.float64]


def global_scores(references: Signals, estimates: Signals) -> GlobalScores:
    """Score stems ``(stems, samples, channels)`` that need not be in memory; ValueError at a sample that is NaN."""
    unscored = silent_throughout(references, "references") | silent_throughout(estimates, "estimates")
    energy, estimated, shared, error = np.zeros((4, len(unscored)))
    for part in block_slices(0, references.shape[1]):
        true = references.read(part.start, part.stop).astype(np.float64, copy=False)
        estimate = estimates.read(part.start, part.stop).astype(np.float64, copy=False)
        difference = true - estimate
        energy += products(true, true)
        estimated += products(estimate, estimate)
        shared += products(true, estimate)
        error += products(difference, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.square(shared) / energy
    return GlobalScores(
        global_sdr=np.where(unscored, np.nan, decibels(energy + _MDX_DELTA, error + _MDX_DELTA)),
        si_sdr=np.where(unscored, np.nan, decibels(along, np.maximum(estimated - along, 0))),
    )
