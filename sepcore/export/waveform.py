"""The whole way from a waveform of any length to its stems in one graph, a segment at a time."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.engines.waveform_graph import overlap_add, separate_block
from sepcore.export.matrix_fft import MatrixFFT


def separate_waveform(config: ModelConfig, network: Any, waveform: Any, *, matrix_fft: bool) -> dict[str, Any]:
    """What `Separator.separate` does by ratio masks, for tensors of a graph.

    Args:
        config: The model's config.
        network: Magnitudes to estimates, see `registry.build_network`.
        waveform: float32 ``(samples, channels)``, of any length.
        matrix_fft: Fourier transforms as matrix products, for ONNX, instead of TensorFlow's own.

    Returns:
        Every instrument's stem, of the same shape, by name. Memory grows with the length by the stems alone: the
        network sees a segment at a time.
    """
    transforms: dict[str, Any] = {}
    if matrix_fft:
        # A mask of zeros above F leaves nothing to transform there.
        bins = config.num_bins if config.mask_extension == "zeros" else config.frame_length // 2 + 1
        fft = MatrixFFT(config.frame_length, bins)
        transforms = {"rfft": fft.rfft, "irfft": fft.irfft}

    def block(samples: Any) -> Any:
        return separate_block(network, config, samples, **transforms)

    stems = _separate_segments(block, config, waveform)
    return {name: stems[index] for index, name in enumerate(config.instruments)}


def _separate_segments(block: Callable[[Any], Any], config: ModelConfig, waveform: Any) -> Any:
    """Stems ``(stems, samples, channels)``, framed as `overlap_add_blocks` frames a waveform."""
    frame, hop = config.frame_length, config.hop_length
    advance = config.segment_frames * hop
    length = advance - hop + frame
    num_samples = ops.shape(waveform)[0]
    num_frames = (num_samples + frame + hop - 1) // hop
    num_segments = (num_frames + config.segment_frames - 1) // config.segment_frames
    after = num_segments * advance - hop - num_samples
    padded = tf.pad(waveform, [(frame, after), (0, 0)])

    def segment(start: Any) -> Any:
        samples = ops.slice(padded, (start, 0), (length, config.num_channels))
        return ops.transpose(block(samples), (0, 2, 1))

    stems = ops.map(segment, ops.arange(num_segments) * advance)  # (segments, stems, channels, samples)
    stems = overlap_add(ops.transpose(stems, (1, 2, 0, 3)), advance)
    return ops.transpose(stems[..., frame : frame + num_samples], (0, 2, 1))
