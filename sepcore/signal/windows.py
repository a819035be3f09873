"""The windows of the STFT: before the FFT, and after the inverse one."""

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WindowKind = Literal["hann", "rectangular"]
"""What ``stft_window`` of a config may be."""


@lru_cache(maxsize=8)
def analysis_window(kind: WindowKind, frame_length: int) -> NDArray[np.float32]:
    """What frames are multiplied by before the FFT, float32 ``(frame_length,)``, read-only.

    ``hann`` is periodic; ``rectangular`` is ones.
    """
    if kind == "rectangular":
        window = np.ones(frame_length, np.float32)
    else:
        angle = 2 * np.pi * np.arange(frame_length) / frame_length
        window = (0.5 - 0.5 * np.cos(angle)).astype(np.float32)
    window.setflags(write=False)
    return window


@lru_cache(maxsize=8)
def synthesis_window(kind: WindowKind, frame_length: int, hop_length: int) -> NDArray[np.float32]:
    """What frames are multiplied by after the inverse FFT, so that adding them up gives the waveform back.

    It is the analysis window divided by the sum of the overlapping squared windows: 3/2 for Hann's and four hops a
    frame, 4 for a rectangular one. Both sums are constant for whole hops a frame, Hann's from three on.

    Returns:
        float32 ``(frame_length,)``, read-only. ``frame_length`` is a multiple of ``hop_length``.
    """
    window = analysis_window(kind, frame_length)
    overlap = (window.astype(np.float64) ** 2).reshape(-1, hop_length).sum(axis=0).mean()
    scaled: NDArray[np.float32] = (window / overlap).astype(np.float32)
    scaled.setflags(write=False)
    return scaled
