"""BSSEval's least-squares filters from references to estimates, by correlations in one pass and bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.signals import Channels, Signals, read_channels
from sepcore.system.threads import num_cores

Lags = NDArray[np.float64]
Filters = NDArray[np.float64]
Spectra = NDArray[np.complex128]

# Small enough for a core's cache, as is a batch of blocks, whose spectra are multiplied at once: BLAS is slow on single
# columns. Of 2^12 to 2^14 and 4 to 32 blocks these were the fastest.
_FFT_SAMPLES = 1 << 12
_BLOCKS_AT_ONCE = 12


def correlate(references: Signals, estimates: Signals, num_lags: int) -> tuple[Lags, Lags]:
    """Correlate every channel x of the references with every channel of the references, and y of the estimates.

    The track is cut into blocks. A block correlates with itself by its own spectrum, and with the start of the next one
    by two short spectra. Products are added up over the track, in an order that does not depend on the number of cores,
    and one inverse FFT of each kind gives the sums.

    Returns:
        The sums over t of ``x_i[t] x_j[t + lag]`` and of ``x_i[t] y_j[t + lag]``, ``(channels, channels, lags)`` each,
        for 0 to ``num_lags`` - 1, at most 2047; a stem's channels together, zeros before and after the track.
    """
    num_references = references.shape[0] * references.shape[2]
    num_samples, tail = references.shape[1], num_lags - 1
    advance = _FFT_SAMPLES - tail
    border_samples = 1 << (2 * tail).bit_length()

    def products(start: int) -> tuple[Spectra, Spectra]:
        num_blocks = min(_BLOCKS_AT_ONCE, -(-(num_samples - start) // advance))
        stop = start + num_blocks * advance
        channels = np.concatenate([read_channels(signals, start, stop + tail) for signals in (references, estimates)])
        blocks = np.zeros((len(channels), num_blocks, _FFT_SAMPLES))
        blocks[:, :, :advance] = channels[:, :-tail].reshape(len(channels), num_blocks, advance)
        ends, starts = np.zeros((2, len(channels), num_blocks, border_samples))
        ends[:, :, :tail] = blocks[:, :, advance - tail : advance]
        starts[:, :-1, tail : 2 * tail] = blocks[:, 1:, :tail]
        starts[:, -1, tail : 2 * tail] = channels[:, -tail:]
        within = _spectra(blocks)
        return (
            _summed(within[:, :, :num_references], within),
            _summed(_spectra(ends[:num_references]), _spectra(starts)),
        )

    starts = range(0, num_samples, advance * _BLOCKS_AT_ONCE)
    with ThreadPoolExecutor(num_cores()) as pool:
        # Added up as they come: all of them at once would need memory.
        within, across = reduce(lambda sums, more: (sums[0] + more[0], sums[1] + more[1]), pool.map(products, starts))
    lags = (np.fft.irfft(within, axis=0)[:num_lags] + np.fft.irfft(across, axis=0)[:num_lags]).transpose(1, 2, 0)
    auto, cross = np.split(np.ascontiguousarray(lags), [num_references], axis=1)
    return auto, cross


def _spectra(blocks: Channels) -> Spectra:
    """``(channels, blocks, samples)`` to ``(bins, blocks, channels)``."""
    return np.ascontiguousarray(np.fft.rfft(blocks).transpose(2, 1, 0))


def _summed(first: Spectra, second: Spectra) -> Spectra:
    """Spectra of the correlations of all channels, ``(bins, first channels, second channels)``, over all blocks."""
    products: Spectra = np.conj(first).transpose(0, 2, 1) @ second
    return products


def solve_filters(auto: Lags, cross: Lags, num_channels: int, regularization: float = 0.0) -> Filters:
    """Solve BSSEval's normal equations for all estimates at once.

    Args:
        auto: From `correlate`, like ``cross``, with as many estimates as references in the same order.
        cross: See ``auto``.
        num_channels: Channels of a stem.
        regularization: Share of the energy of each reference's channel that is added to the matrix's diagonal. With 0,
            museval's own 2e-16 at any scale, channels that (nearly) follow from others leave the solution open.

    Returns:
        ``(reference channels, 2 * estimate channels, taps)``: filters from every reference, which give target, spatial
        distortion and interference together; then from an estimate's own reference alone (0 elsewhere), which give
        target and spatial distortion.

    References:
        E. Vincent, R. Gribonval and C. Févotte, "Performance measurement in blind audio source separation", IEEE Trans.
        Audio, Speech and Language Processing 14(4), 2006, section III.
    """
    of_all = _solve(auto, cross, regularization)
    of_own = np.zeros_like(of_all)
    for first in range(0, len(auto), num_channels):
        own = slice(first, first + num_channels)
        of_own[own, own] = _solve(auto[own, own], cross[own, own], regularization)
    return np.concatenate([of_all, of_own], axis=1)


def _solve(auto: Lags, cross: Lags, regularization: float) -> Filters:
    """``(channels, targets, taps)``: the least-squares filters from the channels of ``auto`` to those of ``cross``."""
    from scipy.linalg import LinAlgError, cho_factor, cho_solve

    num_channels, num_targets, num_taps = cross.shape
    right = cross.transpose(0, 2, 1).reshape(-1, num_targets)
    try:
        # One factorization serves every estimate. In Fortran's order LAPACK works in place.
        factor = cho_factor(_matrix(auto, regularization).T, overwrite_a=True, check_finite=False)
        solution = cho_solve(factor, right, check_finite=False)
    except LinAlgError:
        # Not positive definite within rounding, as with two equal channels: do what museval does.
        matrix = _matrix(auto, regularization)
        try:
            solution = np.linalg.solve(matrix, right)
        except np.linalg.LinAlgError:
            solution = np.linalg.lstsq(matrix, right)[0]
    filters: Filters = solution.reshape(num_channels, num_taps, num_targets).transpose(0, 2, 1)
    return filters


def _matrix(auto: Lags, regularization: float) -> NDArray[np.float64]:
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
