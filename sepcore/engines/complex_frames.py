"""Separation by complex networks: the spectra of the stems, frame by frame, in bounded memory."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.signal.blocks import Waveform, add_up, cross_fade, overlapping_advance
from sepcore.signal.segments import Segmentation, cut_segments, level_ends
from sepcore.signal.spectrogram import inverse_stft, stft
from sepcore.system.threads import ordered_map

Samples = NDArray[np.float32]
Spectra = NDArray[np.complex64]


class ComplexEngine(Protocol):
    """What is needed of an `Engine`."""

    config: ModelConfig
    parallel_blocks: int

    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.estimate`."""


class StemFrames(NamedTuple):
    """Consecutive STFT frames of a mixture and of its stems."""

    mixture: Spectra
    """``(frames, bins, channels)``"""
    stems: Spectra
    """``(stems, frames, bins, channels)``"""


def segmentation(config: ModelConfig, overlap: float) -> Segmentation:
    """How waveforms are cut for a complex network, neighbors overlapping by a share of their length, 0 to below 1."""
    advance = overlapping_advance(config.segment_frames, overlap)
    centered = config.stft_padding == "centered"
    geometry = config.frame_length, config.hop_length, config.segment_frames
    return Segmentation(*geometry, advance, centered, config.stft_window)


def separate_complex(engine: ComplexEngine, blocks: Iterable[Samples], *, overlap: float) -> Iterator[Samples]:
    """Separate a waveform by a complex network; see `Engine.separate`."""
    waveform, config = Waveform(blocks), engine.config
    spectra = (frames.stems for frames in stem_frames(engine, waveform, overlap=overlap))
    return to_waveforms(spectra, waveform, config, overlap=overlap)


def to_waveforms(
    spectra: Iterable[Spectra], waveform: Waveform, config: ModelConfig, *, overlap: float
) -> Iterator[Samples]:
    """Consecutive frames of the stems, as `stem_frames` gives them, to as many samples as the waveform has."""
    cut = segmentation(config, overlap)
    geometry = {"frame_length": config.frame_length, "hop_length": config.hop_length}
    parts = (inverse_stft(stems, **geometry, window=config.stft_window) for stems in spectra)
    added = add_up(parts, waveform, front=cut.front, overlap=config.frame_length - config.hop_length)
    return level_ends(added, waveform, cut)


def stem_frames(engine: ComplexEngine, waveform: Waveform, *, overlap: float) -> Iterator[StemFrames]:
    """The STFT of a waveform and those of its stems.

    Segments overlap by ``overlap`` of their length and are cross-faded. With ``mixture_consistency`` the stems add up
    to the mixture.

    Yields:
        Consecutive frames, in all those of whole segments (`Segmentation.num_frames`); the lowest ``F`` bins, with
        ``mixture_consistency`` all.
    """
    config = engine.config
    cut = segmentation(config, overlap)
    num_bins = config.frame_length // 2 + 1 if config.mixture_consistency else config.num_bins
    geometry = {"frame_length": config.frame_length, "hop_length": config.hop_length}

    def separated(samples: Samples) -> StemFrames:
        spectrum = stft(samples, **geometry, num_bins=num_bins, window=config.stft_window)
        spectra = to_spectra(engine.estimate(to_input(spectrum[:, : config.num_bins], config)[None])[0], config)
        return StemFrames(spectrum, spectra)

    segments = ordered_map(separated, cut_segments(waveform, cut), threads=engine.parallel_blocks)
    for frames in _cross_faded(segments, cut):
        yield _made_consistent(frames) if config.mixture_consistency else frames


def to_input(spectrum: Spectra, config: ModelConfig) -> NDArray[np.float32]:
    """What a complex network takes, float32 ``(T, F, 2 * channels)``, of a segment's ``(T, F, channels)``."""
    parts: NDArray[np.float32] = np.ascontiguousarray(spectrum).view(np.float32)
    # Not in place: of one channel, the parts may be the spectrum's own memory.
    return parts * np.float32(config.frame_length**-0.5) if config.stft_normalized else parts


def to_spectra(estimates: NDArray[np.float32], config: ModelConfig) -> Spectra:
    """Stems' spectra, ``(stems, T, F, channels)``, of what a complex network gives, ``(stems, T, F, 2 * channels)``."""
    parts = np.array(estimates, np.float32, order="C")
    if config.stft_normalized:
        parts *= np.float32(config.frame_length**0.5)
    return parts.view(np.complex64)


def _cross_faded(segments: Iterable[StemFrames], cut: Segmentation) -> Iterator[StemFrames]:
    """Overlapping segments to consecutive frames, each the weighted mean of those of all segments that have it."""
    if cut.advance == cut.segment_frames:
        yield from segments
        return
    weights = cross_fade(cut.segment_frames, cut.advance)
    sums: Spectra | None = None
    totals = np.zeros(0, np.float32)
    held: Spectra | None = None
    for segment in segments:
        stems, total = segment.stems * weights[:, None, None], weights.copy()
        if sums is not None:
            stems[:, : sums.shape[1]] += sums
            total[: len(totals)] += totals
        # The first and the last frames of a song are in fewer segments.
        yield StemFrames(segment.mixture[: cut.advance], _divided(stems[:, : cut.advance], total[: cut.advance]))
        sums, totals, held = stems[:, cut.advance :], total[cut.advance :], segment.mixture[cut.advance :]
    if sums is not None and held is not None:
        yield StemFrames(held, _divided(sums, totals))


def _divided(stems: Spectra, totals: NDArray[np.float32]) -> Spectra:
    divided: Spectra = stems / totals[:, None, None]
    return divided


def _made_consistent(frames: StemFrames) -> StemFrames:
    """Add what the stems leave of the mixture to them in equal shares."""
    num_stems, count, num_bins, channels = frames.stems.shape
    stems = np.zeros((num_stems, count, frames.mixture.shape[1], channels), np.complex64)
    stems[:, :, :num_bins] = frames.stems
    stems += (frames.mixture - stems.sum(axis=0)) / np.float32(num_stems)
    return StemFrames(frames.mixture, stems)
