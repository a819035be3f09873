"""Short-time Fourier transform and its inverse as Spleeter defines them, in numpy."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.signal.windows import WindowKind, analysis_window, synthesis_window

_CACHED_FRAMES = 32
_I, _MINUS_I = np.complex64(1j), np.complex64(-1j)


def num_frames(samples: int, frame_length: int, hop_length: int) -> int:
    """STFT frames of a waveform of this length at separation: one frame of zeros in front, the end padded."""
    return -(-(samples + frame_length) // hop_length)


def stft(
    waveform: NDArray[np.float32],
    *,
    frame_length: int,
    hop_length: int,
    num_bins: int | None = None,
    window: WindowKind = "hann",
) -> NDArray[np.complex64]:
    """Short-time Fourier transform without padding: of the windows that fit into the waveform.

    Args:
        waveform: float32 ``(samples, channels)``.
        frame_length: Window in samples.
        hop_length: Step in samples.
        num_bins: How many of the lowest bins; None: all ``frame_length / 2 + 1``.
        window: See `analysis_window`.

    Returns:
        complex64 ``(frames, num_bins, channels)``; no frames if the waveform is shorter than a window.
    """
    analysis = analysis_window(window, frame_length)
    return _transformed(waveform, analysis, hop_length, num_bins or frame_length // 2 + 1, np.complex64)


def magnitude_spectrogram(
    waveform: NDArray[np.float32], *, frame_length: int, hop_length: int, num_bins: int
) -> NDArray[np.float32]:
    """Magnitudes of the lowest bins, linear amplitude: float32 ``(frames, num_bins, channels)``; see `stft`."""
    return _transformed(waveform, analysis_window("hann", frame_length), hop_length, num_bins, np.float32)


def _transformed(
    waveform: NDArray[np.float32],
    analysis: NDArray[np.float32],
    hop_length: int,
    num_bins: int,
    kind: type[np.generic],
) -> NDArray[Any]:
    """The STFT, or where ``kind`` is real its magnitudes: a view of an array ``(channels, frames, bins)``.

    Windows are multiplied by the ``frame_length`` that the FFTs divide by: without dividing, NumPy 2.4's compute in
    double precision and take six times as long.
    """
    frame_length = len(analysis)
    if waveform.shape[1] == 2:
        # One complex FFT of both channels takes half the time of two real ones.
        windows = _windows(np.ascontiguousarray(waveform).view(np.complex64), frame_length, hop_length)
        transform, window = _transform_two, analysis * np.float32(frame_length / 2)
    else:
        windows = _windows(waveform, frame_length, hop_length)
        transform, window = _transform_each, analysis * np.float32(frame_length)
    frames = windows.shape[1]
    spectrum: NDArray[Any] = np.empty((waveform.shape[1], frames, num_bins), kind)
    # A few frames at a time stay in the cache, which is faster than all at once, and bit for bit the same.
    for part in frame_parts(frames):
        transform(windows[:, part] * window, spectrum[:, part])
    return np.moveaxis(spectrum, 0, -1)


def frame_parts(frames: int) -> Iterator[slice]:
    """Slices of frames whose arrays stay in a core's cache."""
    for first in range(0, frames, _CACHED_FRAMES):
        yield slice(first, min(first + _CACHED_FRAMES, frames))


def _transform_each(frames: NDArray[Any], spectrum: NDArray[Any]) -> None:
    transformed = np.fft.rfft(frames, axis=-1, norm="forward")[..., : spectrum.shape[-1]]
    if np.isrealobj(spectrum):
        np.abs(transformed, out=spectrum)
    else:
        spectrum[:] = transformed


def _transform_two(frames: NDArray[Any], spectrum: NDArray[Any]) -> None:
    """Frames are ``(left + i right) / 2``; with their FFT Z: ``L[k] = Z[k] + Z*[-k]``, ``iR[k] = Z[k] - Z*[-k]``."""
    num_bins = spectrum.shape[-1]
    transformed = np.fft.fft(frames[0], axis=-1, norm="forward", out=frames[0])
    positive, negative = transformed[:, :num_bins], np.empty((len(transformed), num_bins), np.complex64)
    np.conjugate(transformed[:, 0], out=negative[:, 0])
    np.conjugate(transformed[:, :-num_bins:-1], out=negative[:, 1:])
    if np.isrealobj(spectrum):
        np.abs(positive + negative, out=spectrum[0])
        np.abs(positive - negative, out=spectrum[1])
    else:
        np.add(positive, negative, out=spectrum[0])
        np.multiply(positive - negative, _MINUS_I, out=spectrum[1])


def _windows(waveform: NDArray[Any], frame_length: int, hop_length: int) -> NDArray[Any]:
    """Overlapping views of a waveform, ``(channels, frames, frame_length)``."""
    if len(waveform) < frame_length:
        return np.zeros((waveform.shape[1], 0, frame_length), waveform.dtype)
    return np.lib.stride_tricks.sliding_window_view(waveform.T, frame_length, axis=1)[:, ::hop_length]


def inverse_stft(
    spectrum: NDArray[np.complex64], *, frame_length: int, hop_length: int, window: WindowKind = "hann"
) -> NDArray[np.float32]:
    """Overlap-add the inverse transforms, windowed by `synthesis_window`.

    Args:
        spectrum: complex64 ``(..., frames, bins, channels)``, of at least one frame; missing high bins are silent.
        frame_length: Window in samples, a multiple of ``hop_length``.
        hop_length: Step in samples.
        window: That of `stft`.

    Returns:
        float32 ``(..., samples, channels)`` with ``samples = (frames - 1) * hop_length + frame_length``. The first and
        last ``frame_length - hop_length`` samples lack the frames beyond the ends.
    """
    *lead, count, _, num_channels = spectrum.shape
    overlap = frame_length // hop_length
    added = np.zeros((*lead, count + overlap - 1, hop_length * num_channels), np.float32)
    synthesis = np.repeat(synthesis_window(window, frame_length, hop_length), num_channels)
    # A frame is `overlap` hops long: hop k of all frames is added at once, k hops further on.
    for part in frame_parts(count):
        frames = _frames(spectrum[..., part, :, :], frame_length)
        frames *= synthesis
        hops = frames.reshape(*frames.shape[:-1], overlap, -1)
        for hop in range(overlap):
            added[..., part.start + hop : part.stop + hop, :] += hops[..., hop, :]
    return added.reshape(*lead, -1, num_channels)


def _frames(spectrum: NDArray[np.complex64], frame_length: int) -> NDArray[np.float32]:
    """The inverse transforms of frames, ``(..., bins, channels)``: ``(..., frame_length * channels)``, interleaved."""
    if spectrum.shape[-1] != 2:
        frames = np.fft.irfft(np.moveaxis(spectrum, -1, -2), frame_length, axis=-1)
        return np.moveaxis(frames, -1, -2).reshape(*frames.shape[:-2], -1).astype(np.float32, copy=False)
    # Of both channels at once, as in `_transform_two`: Z[k] = L[k] + i R[k], Z[-k] = (L[k] - i R[k])*.
    left, right = spectrum[..., 0], spectrum[..., 1]
    turned = right * _I
    num_bins = left.shape[-1]
    mirrored = min(num_bins, (frame_length + 1) // 2)
    packed = np.zeros((*left.shape[:-1], frame_length), np.complex64)
    np.add(left, turned, out=packed[..., :num_bins])
    difference = left[..., 1:mirrored] - turned[..., 1:mirrored]
    np.conjugate(difference[..., ::-1], out=packed[..., frame_length - mirrored + 1 :])
    for edge in {0, num_bins - 1} if 2 * (num_bins - 1) == frame_length else {0}:  # bins that are real
        packed[..., edge] = left[..., edge].real + _I * right[..., edge].real
    return np.fft.ifft(packed, axis=-1, out=packed).view(np.float32)
