"""Correlations of stems over the few lags that BSSEval's filters have, in one pass and in bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sepcore.cores import num_cores
from sepcore.evaluation.signals import Signals, flat_channels

Lags = NDArray[np.float64]

_FFT_SAMPLES = 1 << 14
# Blocks whose spectra are multiplied at once: BLAS is slow on single columns, and more only cost memory.
_BLOCKS_AT_ONCE = 12


@dataclass(frozen=True, eq=False)
class Correlations:
    """Sums over a whole track, taken for zero before its start and after its end.

    Attributes:
        auto: Of the references' channels x, ``(channels, channels, lags)``: sum over t of ``x_i[t] x_j[t + lag]``,
            lag >= 0. A stem's channels stand together.
        cross: Of them and the estimates' channels y, alike: sum over t of ``x_i[t] y_j[t + lag]``.
    """

    auto: Lags
    cross: Lags


def correlate(references: Signals, estimates: Signals, num_lags: int) -> Correlations:
    """Correlate every channel of the references with every channel of references and estimates.

    The track is cut into blocks; the products of a block's spectra with those of the block and what follows it are
    added up, and one inverse FFT gives the sums. In which order they are added does not depend on the number of cores.

    Args:
        references: ``(stems, samples, channels)``.
        estimates: Of the same length and channels.
        num_lags: At most 8192.
    """
    num_references, num_samples, num_channels = references.shape
    advance = _FFT_SAMPLES - (num_lags - 1)
    batch = advance * _BLOCKS_AT_ONCE

    def spectra_products(start: int) -> NDArray[np.complex128]:
        num_blocks = min(_BLOCKS_AT_ONCE, -(-(num_samples - start) // advance))
        stop = start + num_blocks * advance + num_lags - 1
        samples = np.concatenate([flat_channels(signals.read(start, stop)) for signals in (references, estimates)])
        segments = np.lib.stride_tricks.sliding_window_view(samples, _FFT_SAMPLES, axis=1)[:, ::advance]
        following = np.fft.rfft(segments).transpose(2, 1, 0)
        own = np.fft.rfft(segments[: num_references * num_channels, :, :advance], n=_FFT_SAMPLES).transpose(2, 0, 1)
        products: NDArray[np.complex128] = np.conj(own) @ np.ascontiguousarray(following)
        return products

    total: NDArray[np.complex128] | None = None
    with ThreadPoolExecutor(num_cores()) as pool:
        for products in pool.map(spectra_products, range(0, num_samples, batch)):
            total = products if total is None else np.add(total, products, out=total)
    assert total is not None
    lags = np.fft.irfft(total, n=_FFT_SAMPLES, axis=0)[:num_lags].transpose(1, 2, 0)
    split = num_references * num_channels
    return Correlations(np.ascontiguousarray(lags[:, :split]), np.ascontiguousarray(lags[:, split:]))
