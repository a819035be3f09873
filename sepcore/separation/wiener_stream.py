"""Multichannel Wiener filtering, by norbert: of whole spectrograms, and of streams in overlapping windows."""

import logging
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sepcore.engines.base import Engine, join_segments
from sepcore.engines.complex_frames import stem_frames, to_waveforms
from sepcore.signal.blocks import Framing, Waveform, add_up, cross_fade, overlapping_advance, padded_blocks
from sepcore.signal.spectrogram import inverse_stft, stft
from sepcore.system.threads import ordered_map

_logger = logging.getLogger(__name__)

# Covariances are estimated over a window of this length, an ordinary song. Memory grows with it.
WINDOW_S = 300.0
# Neighboring windows share this much, in which they are cross-faded.
OVERLAP_S = 30.0


class _Frames(NamedTuple):
    """Consecutive frames of the lowest F bins."""

    spectrum: NDArray[np.complex64]
    """The mixture's, ``(frames, F, channels)``."""
    estimates: NDArray[np.float32]
    """The stems' magnitudes, ``(stems, frames, F, channels)``."""


def wiener_stream(
    engine: Engine, blocks: Iterable[NDArray[np.float32]], *, whole: bool = False, overlap: float | None = None
) -> Iterator[NDArray[np.float32]]:
    """Separate a waveform by multichannel Wiener filtering.

    Statistics are the whole waveform's; beyond `WINDOW_S` they are those of windows, which is logged, unless ``whole``.
    What comes in and goes out, and ``overlap``, are as in `Engine.separate`. Of a complex network's spectra the
    magnitudes are taken.
    """
    config, waveform = engine.config, Waveform(blocks)
    window, shared = (round(seconds * config.sample_rate / config.hop_length) for seconds in (WINDOW_S, OVERLAP_S))
    longest = None if whole else window
    if config.model.domain == "complex":
        overlap = config.default_overlap if overlap is None else overlap
        frames = (_Frames(part.mixture, np.abs(part.stems)) for part in stem_frames(engine, waveform, overlap=overlap))
        return to_waveforms(_filtered(frames, longest, shared), waveform, config, overlap=overlap)
    frame_length, hop_length, segment = config.frame_length, config.hop_length, config.segment_frames
    advance = overlapping_advance(segment, overlap) if overlap else None
    framing = Framing(frame_length, hop_length, segment, 1, advance)

    def analyzed(samples: NDArray[np.float32]) -> _Frames:
        spectrum = stft(samples, frame_length=frame_length, hop_length=hop_length, num_bins=config.num_bins)
        padded = np.pad(spectrum, [(0, -len(spectrum) % segment), (0, 0), (0, 0)])
        estimates = join_segments(engine.estimate(engine.segments(padded)))
        return _Frames(spectrum, estimates[:, : len(spectrum)])

    parts: Iterator[_Frames] = ordered_map(analyzed, padded_blocks(waveform, framing), threads=engine.parallel_blocks)
    if advance:
        parts = _cross_faded(parts, cross_fade(segment, advance), advance)
    stems = (
        inverse_stft(spectra, frame_length=frame_length, hop_length=hop_length)
        for spectra in _filtered(parts, longest, shared)
    )
    return add_up(stems, waveform, front=framing.front, overlap=frame_length - hop_length)


def _cross_faded(parts: Iterable[_Frames], weights: NDArray[np.float32], advance: int) -> Iterator[_Frames]:
    """Overlapping segments to consecutive frames, whose estimates are the weighted means of their segments'."""
    sums: NDArray[np.float32] | None = None
    for part in parts:
        weighted = part.estimates * weights[:, None, None]
        if sums is not None:
            weighted[:, : sums.shape[1]] += sums
        yield _Frames(part.spectrum[:advance], weighted[:, :advance])
        sums = weighted[:, advance:]


def _filtered(parts: Iterable[_Frames], window: int | None, shared: int) -> Iterator[NDArray[np.complex64]]:
    """Consecutive frames of the stems' STFTs, window by window; frames ``shared`` by two windows are cross-faded."""
    held: list[_Frames] = []
    faded: NDArray[np.complex64] | None = None
    fade = ((np.arange(shared) + 0.5) / shared).astype(np.float32)[:, None, None]

    def stems_of(frames: _Frames) -> NDArray[np.complex64]:
        stems = wiener_filter(frames.estimates, frames.spectrum)
        if faded is not None:
            stems[:, :shared] = stems[:, :shared] * fade + faded
        return stems

    for part in parts:
        held.append(part)
        # With more than a window, so that the last one is longer than what two windows share.
        if window is not None and sum(len(each.spectrum) for each in held) > window + shared:
            if faded is None:
                _logger.warning("longer than %.0f s: Wiener filtering works in windows of that length", WINDOW_S)
            frames = _joined(held)
            held = [_cut(frames, window - shared, None)]
            stems = stems_of(_cut(frames, 0, window))
            yield stems[:, :-shared]
            faded = stems[:, -shared:] * fade[::-1]
    if held:
        yield stems_of(_joined(held))


def _joined(parts: list[_Frames]) -> _Frames:
    return _Frames(
        np.concatenate([part.spectrum for part in parts]), np.concatenate([part.estimates for part in parts], axis=1)
    )


def _cut(frames: _Frames, start: int, end: int | None) -> _Frames:
    return _Frames(frames.spectrum[start:end], frames.estimates[:, start:end])


def wiener_filter(estimates: NDArray[np.float32], mixture_stft: NDArray[np.complex64]) -> NDArray[np.complex64]:
    """Stems' STFTs from magnitude estimates by one iteration of expectation-maximization, as in Spleeter.

    Args:
        estimates: Magnitudes, linear amplitude; float32 ``(stems, frames, bins, channels)``.
        mixture_stft: complex64 ``(frames, bins, channels)``.

    Returns:
        complex64 ``(stems, frames, bins, channels)``. Each bin is filtered independently and is zero where all
        estimates are, as above ``F`` in Spleeter: such bins can be left out.

    References:
        A. A. Nugraha, A. Liutkus and E. Vincent, "Multichannel audio source separation with deep neural networks",
        IEEE/ACM TASLP 2016; S. Uhlich et al., "Improving music source separation based on deep neural networks
        through data augmentation and network blending", ICASSP 2017.
    """
    import norbert  # not needed for ratio masks, and it imports SciPy's signal module

    # A copy, since norbert scales its argument.
    filtered = norbert.wiener(np.ascontiguousarray(estimates.transpose(1, 2, 3, 0)), mixture_stft.copy())
    return np.ascontiguousarray(np.moveaxis(filtered, -1, 0), np.complex64)
