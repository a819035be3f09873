"""Multichannel Wiener filtering of whole spectrograms, by norbert."""

import numpy as np
from numpy.typing import NDArray


def wiener_filter(estimates: NDArray[np.float32], mixture_stft: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Stems' STFTs from magnitude estimates by one iteration of expectation-maximisation, as Spleeter asks norbert for.

    Args:
        estimates: Magnitudes, linear amplitude; float32 ``(stems, frames, bins, channels)``.
        mixture_stft: complex64 ``(frames, bins, channels)``.

    Returns:
        complex64 ``(stems, frames, bins, channels)``. A bin's filter depends on no other bin: where all estimates are
        zero, as Spleeter has them above ``F``, stems are zero, and such bins may be left out.

    References:
        A. A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with deep neural networks",
        IEEE/ACM TASLP 2016; S. Uhlich et al., "Improving music source separation based on deep neural networks
        through data augmentation and network blending", ICASSP 2017.
    """
    import norbert  # here: it imports SciPy's signal module, which ratio masks do not need

    # A copy: norbert scales the mixture that it is given.
    filtered = norbert.wiener(np.ascontiguousarray(estimates.transpose(1, 2, 3, 0)), mixture_stft.copy())
    return np.ascontiguousarray(np.moveaxis(filtered, -1, 0), np.complex64)
