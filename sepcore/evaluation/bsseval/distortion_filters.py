"""The filters that bring references nearest to an estimate: BSSEval's least-squares projections."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.correlations import Correlations

Filters = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DistortionFilters:
    """Filters from the references' channels to the estimates', ``(reference channels, estimate channels, taps)``.

    Attributes:
        of_all: From every reference: what they give is target, spatial distortion and interference together.
        of_own: From an estimate's own reference alone (zero elsewhere): target and spatial distortion.
    """

    of_all: Filters
    of_own: Filters

    def both(self) -> Filters:
        """``(reference channels, targets of all and then of own, taps)``."""
        return np.concatenate([self.of_all, self.of_own], axis=1)


def solve_filters(correlations: Correlations, num_channels: int, regularization: float = 0.0) -> DistortionFilters:
    """Solve BSSEval's normal equations for all estimates at once.

    Args:
        correlations: Of references and as many estimates, in the same order.
        num_channels: Channels of a stem.
        regularization: Of the energy of each reference's channel, added to the matrix's diagonal. 0: museval's own
            2e-16, whatever the scale, with which channels that (nearly) follow from others leave the solution open.

    References:
        E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio source separation", IEEE Trans.
        Audio, Speech and Language Processing 14(4), 2006, section III.
    """
    auto, cross = correlations.auto, correlations.cross
    of_all = _solve(auto, cross, regularization)
    of_own = np.zeros_like(of_all)
    for first in range(0, len(auto), num_channels):
        own = slice(first, first + num_channels)
        of_own[own, own] = _solve(auto[own, own], cross[own, own], regularization)
    return DistortionFilters(of_all, of_own)


def _solve(auto: NDArray[np.float64], cross: NDArray[np.float64], regularization: float) -> Filters:
    """``(channels, targets, taps)``: the least-squares filters from the channels of ``auto`` to those of ``cross``."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    num_channels, num_targets, num_taps = cross.shape
    right = cross.transpose(0, 2, 1).reshape(-1, num_targets)
    try:
        # One factorization serves every estimate. In Fortran's order LAPACK works in place.
        factor = cho_factor(_matrix(auto, regularization).T, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, right, check_finite=False)
    except LinAlgError:
        # Not positive definite to rounding, as with two equal channels: what museval does.
        matrix = _matrix(auto, regularization)
        try:
            solution = np.linalg.solve(matrix, right)
        except np.linalg.LinAlgError:
            solution = np.linalg.lstsq(matrix, right)[0]
    filters: Filters = solution.reshape(num_channels, num_taps, num_targets).transpose(0, 2, 1)
    return filters


def _matrix(auto: NDArray[np.float64], regularization: float) -> NDArray[np.float64]:
    """Inner products of the channels delayed by 0 to taps - 1 samples: a Toeplitz block for every pair of channels."""
    num_channels, _, num_taps = auto.shape
    matrix = np.empty((num_channels, num_taps, num_channels, num_taps))
    for row in range(num_channels):
        for column in range(num_channels):
            # From lag -(taps - 1) to taps - 1; row k is its window that ends at lag k.
            lags = np.concatenate([auto[column, row, :0:-1], auto[row, column]])
            matrix[row, :, column] = np.lib.stride_tricks.sliding_window_view(lags, num_taps)[:, ::-1]
    flat = matrix.reshape(num_channels * num_taps, -1)
    energies = np.repeat(auto[range(num_channels), range(num_channels), 0], num_taps)
    flat[np.diag_indices(len(flat))] += np.finfo(float).eps + regularization * energies
    return flat
