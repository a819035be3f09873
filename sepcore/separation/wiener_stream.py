"""Wiener filtering of a waveform of any length: windows that overlap, each with the statistics of its own minutes."""

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.engines.base import Engine, join_segments
from sepcore.signal.blocks import Framing, Waveform, add_up, cross_fade, overlapping_advance, padded_blocks
from sepcore.signal.spectrogram import inverse_stft, stft
from sepcore.system.ordered_map import ordered_map

_logger = logging.getLogger(__name__)

# Covariances are estimated over a window of so many seconds: all of an ordinary song. Memory grows with the window.
WINDOW_S = 300.0
# What neighbouring windows share, and are cross-faded in.
OVERLAP_S = 30.0


class _Frames(NamedTuple):
    """Consecutive frames of the lowest F bins."""

    spectrum: NDArray[np.complex64]
    """Of the mixture, ``(frames, F, channels)``."""
    estimates: NDArray[np.float32]
    """Magnitudes of the stems, ``(stems, frames, F, channels)``."""


def wiener_stream(
    engine: Engine, blocks: Iterable[NDArray[np.float32]], *, whole: bool = False, overlap: float = 0.0
) -> Iterator[NDArray[np.float32]]:
    """Separate a waveform by multichannel Wiener filtering, however it is cut into pieces.

    Up to `WINDOW_S` the statistics are the whole waveform's; those of a longer one are its windows', which is logged.

    Args:
        engine: What runs the network.
        blocks: Consecutive pieces of the waveform: float32 ``(samples, config.num_channels)``.
        whole: One window, whatever the length.
        overlap: By which part of a segment neighbours overlap, 0 to below 1; their estimates are cross-faded.

    Yields:
        Consecutive pieces of the stems, float32 ``(stems, samples, channels)``; in all as many samples as came in.
    """
    config = engine.config
    frame_length, hop_length, segment = config.frame_length, config.hop_length, config.segment_frames
    advance = overlapping_advance(segment, overlap) if overlap else None
    framing = Framing(frame_length, hop_length, segment, 1, advance)

    def analysed(samples: NDArray[np.float32]) -> _Frames:
        spectrum = stft(samples, frame_length=frame_length, hop_length=hop_length, num_bins=config.num_bins)
        padded = np.pad(spectrum, [(0, -len(spectrum) % segment), (0, 0), (0, 0)])
        estimates = join_segments(engine.estimate(engine.segments(padded)))
        return _Frames(spectrum, estimates[:, : len(spectrum)])

    waveform = Waveform(blocks)
    parts: Iterator[_Frames] = ordered_map(analysed, padded_blocks(waveform, framing), threads=engine.parallel_blocks)
    if advance:
        parts = _cross_faded(parts, cross_fade(segment, advance), advance)
    window, shared = (round(seconds * config.sample_rate / hop_length) for seconds in (WINDOW_S, OVERLAP_S))
    stems = (
        inverse_stft(spectra, frame_length=frame_length, hop_length=hop_length)
        for spectra in _filtered(parts, None if whole else window, shared)
    )
    return add_up(stems, waveform, front=framing.front, overlap=frame_length - hop_length)


def _cross_faded(parts: Iterable[_Frames], weights: NDArray[np.float32], advance: int) -> Iterator[_Frames]:
    """From segments that overlap to consecutive frames, whose estimates are the weighed means of their segments'."""
    sums: NDArray[np.float32] | None = None
    for part in parts:
        weighed = part.estimates * weights[:, None, None]
        if sums is not None:
            weighed[:, : sums.shape[1]] += sums
        yield _Frames(part.spectrum[:advance], weighed[:, :advance])
        sums = weighed[:, advance:]


def _filtered(parts: Iterable[_Frames], window: int | None, shared: int) -> Iterator[NDArray[np.complex64]]:
    """Consecutive frames of the stems' STFTs, window by window, those ``shared`` by two windows cross-faded."""
    held: list[_Frames] = []
    faded: NDArray[np.complex64] | None = None
    fade = ((np.arange(shared) + 0.5) / shared).astype(np.float32)[:, None, None]
    for part in parts:
        held.append(part)
        # Only when more than a window has come, so that what comes last is longer than what two windows share.
        if window is not None and sum(len(each.spectrum) for each in held) > window + shared:
            if faded is None:
                _logger.warning("longer than %.0f s: Wiener filtering works in windows of that length", WINDOW_S)
            frames = _joined(held)
            now, held = _cut(frames, 0, window), [_cut(frames, window - shared, None)]
            stems = wiener_filter(now.estimates, now.spectrum)
            if faded is not None:
                stems[:, :shared] = stems[:, :shared] * fade + faded
            yield stems[:, :-shared]
            faded = stems[:, -shared:] * fade[::-1]
    if held:
        frames = _joined(held)
        stems = wiener_filter(frames.estimates, frames.spectrum)
        if faded is not None:
            stems[:, :shared] = stems[:, :shared] * fade + faded
        yield stems


def _joined(parts: list[_Frames]) -> _Frames:
    return _Frames(
        np.concatenate([part.spectrum for part in parts]), np.concatenate([part.estimates for part in parts], axis=1)
    )


def _cut(frames: _Frames, start: int, end: int | None) -> _Frames:
    return _Frames(frames.spectrum[start:end], frames.estimates[:, start:end])


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
