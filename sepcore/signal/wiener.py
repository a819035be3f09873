"""Multichannel Wiener filtering of whole spectrograms, by norbert."""

import numpy as np
from numpy.typing import NDArray


def wiener_filter(estimates: NDArray[np.float32], mixture_stft: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Stems' STFTs from magnitude estimates by one iteration of expectation-maximisation, as Spleeter asks norbert for.

    Args:
        estimates: Magnitudes of the lowest bins, linear amplitude; float32 ``(stems, frames, F, channels)``.
        mixture_stft: complex64 ``(frames, bins, channels)`` with ``bins >= F``; above ``F`` estimates count as silent.

    Returns:
        complex64 ``(stems, frames, bins, channels)``.

    References:
        A. A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with deep neural networks",
        IEEE/ACM TASLP 2016; S. Uhlich et al., "Improving music source separation based on deep neural networks
        through data augmentation and network blending", ICASSP 2017.
    """
    import norbert  # here: it imports SciPy's signal module, which ratio masks do not need

    missing = mixture_stft.shape[1] - estimates.shape[2]
    padded = np.pad(estimates, [(0, 0), (0, 0), (0, missing), (0, 0)])
    filtered = norbert.wiener(np.ascontiguousarray(padded.transpose(1, 2, 3, 0)), mixture_stft)
    return np.ascontiguousarray(np.moveaxis(filtered, -1, 0), np.complex64)
