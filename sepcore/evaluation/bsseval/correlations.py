"""Correlations of stems over the few lags that BSSEval's filters have, in one pass and in bounded memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.signals import Channels, Signals, read_channels
from sepcore.system.cores import num_cores

Lags = NDArray[np.float64]
Spectra = NDArray[np.complex128]

# Small enough for a core's cache, as is a batch of blocks, whose spectra are multiplied at once: BLAS is slow on single
# columns. Of 2^12 to 2^14 and 4 to 32 blocks these were the fastest.
_FFT_SAMPLES = 1 << 12
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

    The track is cut into blocks. What a block shares with itself is the product of its spectrum with itself; what it
    shares with the start of the next one, that of two short spectra. Products are added up over the track, in an order
    that does not depend on the number of cores, and one inverse FFT of each kind gives the sums.

    Args:
        references: ``(stems, samples, channels)``.
        estimates: Of the same length and channels.
        num_lags: At most 2048.
    """
    num_references = references.shape[0] * references.shape[2]
    num_samples, tail = references.shape[1], num_lags - 1
    advance = _FFT_SAMPLES - tail
    border_samples = 1 << (2 * tail).bit_length()

    def products(start: int) -> tuple[Spectra, Spectra]:
        num_blocks = min(_BLOCKS_AT_ONCE, -(-(num_samples - start) // advance))
        stop = start + num_blocks * advance
        both = [read_channels(signals, start, stop + tail) for signals in (references, estimates)]
        channels = np.concatenate(both)
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
        # One after the other, as they come: all of them at once would need memory.
        within, across = reduce(lambda sums, more: (sums[0] + more[0], sums[1] + more[1]), pool.map(products, starts))
    lags = (np.fft.irfft(within, axis=0)[:num_lags] + np.fft.irfft(across, axis=0)[:num_lags]).transpose(1, 2, 0)
    auto, cross = np.split(np.ascontiguousarray(lags), [num_references], axis=1)
    return Correlations(auto, cross)


def _spectra(blocks: Channels) -> Spectra:
    """``(channels, blocks, samples)`` to ``(bins, blocks, channels)``."""
    return np.ascontiguousarray(np.fft.rfft(blocks).transpose(2, 1, 0))


def _summed(first: Spectra, second: Spectra) -> Spectra:
    """Spectra of the correlations of all channels, ``(bins, first channels, second channels)``, over all blocks."""
    products: Spectra = np.conj(first).transpose(0, 2, 1) @ second
    return products
