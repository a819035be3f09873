"""STFT and inverse STFT in `keras.ops`: on the device that trains, and with gradients.

Frames are made of whole hops by slices and added up by padding: both are exact, deterministic and fast on every
backend, forward and backward.
"""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray


def stft(waveforms: Any, window: NDArray[np.float32], hop_length: int, num_bins: int | None = None) -> tuple[Any, Any]:
    """Real and imaginary part of the frames that fit into waveforms.

    Args:
        waveforms: float32 ``(rows, channels, samples)``; only ``rows`` may be unknown in a graph.
        window: float32 ``(frame_length,)``, a multiple of ``hop_length``.
        hop_length: Step in samples.
        num_bins: How many of the lowest bins; None: all.

    Returns:
        Two of float32 ``(rows, channels, frames, num_bins)``, not normalized.
    """
    channels, samples = waveforms.shape[1:]
    overlap, num_hops = len(window) // hop_length, samples // hop_length
    hops = ops.reshape(waveforms[..., : num_hops * hop_length], (-1, channels, num_hops, hop_length))
    frames = num_hops - overlap + 1
    windows = ops.concatenate([hops[:, :, first : first + frames] for first in range(overlap)], axis=-1) * window
    real, imaginary = ops.rfft(windows)
    return real[..., :num_bins], imaginary[..., :num_bins]


def inverse_stft(parts: tuple[Any, Any], window: NDArray[np.float32], hop_length: int) -> Any:
    """Overlap-add the inverse transforms, multiplied by the synthesis window.

    Args:
        parts: Real and imaginary part, each float32 ``(rows, channels, frames, bins)``; missing high bins are silent.
        window: float32 ``(frame_length,)``, see `sepcore.signal.windows.synthesis_window`.
        hop_length: Step in samples.

    Returns:
        float32 ``(rows, channels, (frames + 1) * hop_length - frame_length)``: only the samples that all their frames
        cover, without the ``frame_length - hop_length`` at either end that lack some.
    """
    frame_length = len(window)
    channels, frames = parts[0].shape[1:3]
    overlap = frame_length // hop_length
    missing = [(0, 0), (0, 0), (0, 0), (0, frame_length // 2 + 1 - parts[0].shape[-1])]
    real, imaginary = (ops.pad(part, missing) for part in parts)
    windowed = ops.irfft((real, imaginary), frame_length) * window
    hops = ops.reshape(windowed, (-1, channels, frames, overlap, hop_length))
    # A covered hop is the last one of a frame, the one before the last of the next frame, and so on.
    covered = frames - overlap + 1
    added = sum(hops[:, :, first : first + covered, overlap - 1 - first] for first in range(overlap))
    return ops.reshape(added, (-1, channels, covered * hop_length))
