"""Scores that need no projection: the SDR of BSSEval v4, and global SDR and SI-SDR of whole tracks."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.signals import (
    Signals,
    Stems,
    aligned,
    block_slices,
    is_silent,
    silent_throughout,
    window_slices,
)
from sepcore.system.threads import num_cores

Energies = NDArray[np.float64]

# Keeps the ratio of a silent stem finite in the challenge's definition.
_MDX_DELTA = 1e-7

GLOBAL_METRICS = {"global_sdr": "global_SDR", "si_sdr": "SI_SDR"}
"""The fields of `GlobalScores`, and their names in tables and files."""


def sdr_frames(references: Stems, estimates: Stems, window: int = 44100, hop: int = 44100) -> NDArray[np.float64]:
    """The SDR of `bss_eval`: the stem's energy over the energy of the error in every window, ``(stems, windows)``."""
    true, estimated = aligned(references, estimates)
    silent = silent_throughout(true, "references"), silent_throughout(estimated, "estimates")
    return sdr_of_windows(true, estimated, window_slices(true.shape[1], window, hop), *silent)


def sdr_of_windows(
    references: Signals,
    estimates: Signals,
    windows: Sequence[slice],
    silent_references: NDArray[np.bool_],
    silent_estimates: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """As `sdr_frames`, for signals of one shape that need not be in memory; ``silent_…``: which are throughout."""
    unscored = silent_references | silent_estimates

    def sdr(window: slice) -> Energies:
        energy, error = np.zeros((2, len(unscored)))
        quiet_references, quiet_estimates = np.ones((2, len(unscored)), bool)
        for reference, estimate in _side_by_side(references, estimates, window.start, window.stop):
            quiet_references &= is_silent(reference)
            quiet_estimates &= is_silent(estimate)
            energy += _inner(reference, reference)
            difference = reference - estimate
            error += _inner(difference, difference)
        # A signal that is silent throughout does not spoil the windows of the others.
        if (quiet_references & ~silent_references).any() or (quiet_estimates & ~silent_estimates).any():
            return np.full(len(unscored), np.nan)
        return np.where(unscored, np.nan, decibels(energy, error))

    with ThreadPoolExecutor(num_cores()) as pool:
        return np.stack(list(pool.map(sdr, windows)), axis=1)


@dataclass(frozen=True, eq=False)
class GlobalScores:
    """Scores of every stem over all samples and channels; float64 ``(stems,)`` in dB, NaN for a silent one.

    Attributes:
        global_sdr: ``10 log10((sum s² + 1e-7) / (sum (s - ŝ)² + 1e-7))``, as in the Music Demixing Challenge.
        si_sdr: The part of the estimate along the reference over the rest of it; infinite if there is no rest.

    References:
        Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing 1, 2022;
        J. Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.
    """

    global_sdr: NDArray[np.float64]
    si_sdr: NDArray[np.float64]


def global_scores(references: Signals, estimates: Signals) -> GlobalScores:
    """Score stems ``(stems, samples, channels)`` that need not be in memory; ValueError if a sample is NaN."""
    unscored = silent_throughout(references, "references") | silent_throughout(estimates, "estimates")
    energy, estimated, shared, error = np.zeros((4, len(unscored)))
    for true, estimate in _side_by_side(references, estimates, 0, references.shape[1]):
        energy += _inner(true, true)
        estimated += _inner(estimate, estimate)
        shared += _inner(true, estimate)
        difference = true - estimate
        error += _inner(difference, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.square(shared) / energy
    return GlobalScores(
        global_sdr=np.where(unscored, np.nan, decibels(energy + _MDX_DELTA, error + _MDX_DELTA)),
        si_sdr=np.where(unscored, np.nan, decibels(along, np.maximum(estimated - along, 0))),
    )


def _side_by_side(first: Signals, second: Signals, start: int, stop: int) -> Iterator[tuple[Energies, Energies]]:
    for part in block_slices(start, stop):
        yield (
            first.read(part.start, part.stop).astype(np.float64, copy=False),
            second.read(part.start, part.stop).astype(np.float64, copy=False),
        )


def _inner(stems: Stems, others: Stems) -> Energies:
    """Inner product of every stem with its other, over all samples and channels, ``(stems,)``."""
    flat, other = (signals.reshape(len(signals), -1) for signals in (stems, others))
    products: Energies = np.einsum("st,st->s", flat, other)
    return products


def decibels(power: Energies, other: Energies) -> Energies:
    """Ratio of two powers in dB; infinite where ``other`` is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Energies = 10 * np.log10(np.where(other == 0, np.inf, power / other))
    return ratio
