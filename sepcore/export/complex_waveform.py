"""The way from a waveform to the stems of a complex network, in a graph."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.engines.complex_frames import segmentation
from sepcore.engines.waveform_graph import overlap_add
from sepcore.signal.blocks import cross_fade
from sepcore.signal.windows import analysis_window


def separate_complex_waveform(
    config: ModelConfig,
    network: Any,
    waveform: Any,
    *,
    rfft: Callable[[Any], Any],
    irfft: Callable[[Any, int], Any],
) -> Any:
    """Separate by a complex network as `complex_frames.separate_complex` does, with the config's default overlap.

    Args:
        config: The model's config.
        network: Spectra to spectra, see `registry.build_network`.
        waveform: float32 ``(samples, channels)``, of any length.
        rfft: Of real frames; may leave out bins above ``F``.
        irfft: Gets as many bins as it gives.

    Returns:
        float32 ``(stems, samples, channels)``.
    """
    frame, hop, segment = config.frame_length, config.hop_length, config.segment_frames
    cut = segmentation(config, config.default_overlap)
    advance, front, num_samples = cut.advance, cut.front, ops.shape(waveform)[0]
    num_segments = _num_segments(config, num_samples, advance)
    num_frames = segment + (num_segments - 1) * advance
    padded = _padded(config, waveform, num_samples, num_frames, front)
    window, weights = analysis_window(config.stft_window, frame), cross_fade(segment, advance)
    # How much of them there is at each frame: at a song's ends fewer segments.
    weighted = overlap_add(tf.ones([1, 1, num_segments, 1]) * weights, advance)[0, 0]
    scale = frame**-0.5 if config.stft_normalized else 1.0

    def separated(number: Any) -> Any:
        start = number * advance
        samples = ops.slice(padded, (start * hop, 0), ((segment - 1) * hop + frame, config.num_channels))
        real, imaginary = rfft(ops.extract_sequences(ops.transpose(samples), frame, hop) * window)
        parts = ops.stack([real[..., : config.num_bins], imaginary[..., : config.num_bins]], axis=-1) * scale
        shape = (1, segment, config.num_bins, 2 * config.num_channels)
        estimates = network(ops.reshape(ops.transpose(parts, (1, 2, 0, 3)), shape), training=False)
        estimates = ops.reshape(estimates, (-1, segment, config.num_bins, config.num_channels, 2)) / scale
        factors = weights / ops.slice(weighted, (start,), (segment,))
        estimates = ops.transpose(estimates * factors[:, None, None, None], (4, 0, 3, 1, 2))
        above = real.shape[-1] - config.num_bins
        spectra = ops.pad(estimates, [(0, 0)] * 4 + [(0, above)]) if above else estimates
        return overlap_add(irfft((spectra[0], spectra[1]), frame) * window, hop)

    stems = ops.map(separated, ops.arange(num_segments))  # (segments, stems, channels, samples)
    stems = overlap_add(ops.transpose(stems, (1, 2, 0, 3)), advance * hop)
    # The sum of the squared windows, less at a centered song's ends.
    total = overlap_add(tf.ones([1, 1, num_frames, 1]) * window**2, hop)[0, 0]
    stems = stems[..., front : front + num_samples] / total[front : front + num_samples]
    stems = ops.transpose(stems, (0, 2, 1))
    if config.mixture_consistency:
        stems = stems + (waveform - ops.sum(stems, axis=0)) / len(config.instruments)
    return stems


def _num_segments(config: ModelConfig, num_samples: Any, advance: int) -> Any:
    """See `Segmentation.num_frames`."""
    hop = config.hop_length
    centered = config.stft_padding == "centered"
    needed = (num_samples + hop - 1) // hop + 1 if centered else (num_samples + config.frame_length + hop - 1) // hop
    return 1 + (ops.maximum(needed - config.segment_frames, 0) + advance - 1) // advance


def _padded(config: ModelConfig, waveform: Any, num_samples: Any, num_frames: Any, front: int) -> Any:
    inside = (num_frames - 1) * config.hop_length
    if config.stft_padding == "spleeter":
        return tf.pad(waveform, [(front, inside - num_samples), (0, 0)])
    return tf.pad(tf.pad(waveform, [(0, inside - num_samples), (0, 0)]), [(front, front), (0, 0)], "REFLECT")
