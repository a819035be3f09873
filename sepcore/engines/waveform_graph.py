"""A block of samples to stems in `keras.ops`: STFT, network, masks and inverse STFT in one graph."""

from collections.abc import Callable
from typing import Any

from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.signal.masks import extend_masks, ratio_masks
from sepcore.signal.windows import analysis_window, synthesis_window


def separate_block(
    network: Any,
    config: ModelConfig,
    samples: Any,
    *,
    rfft: Callable[[Any], Any] = ops.rfft,
    irfft: Callable[[Any, int], Any] = ops.irfft,
) -> Any:
    """`Engine.separate_block` for tensors of any Keras backend, with a network from `registry.build_network`.

    ``rfft`` may leave out high bins that masks of zeros silence; ``irfft`` gets as many bins as it gives.
    """
    frames = ops.extract_sequences(ops.transpose(samples), config.frame_length, config.hop_length)
    real, imaginary = rfft(frames * analysis_window("hann", config.frame_length))  # (channels, frames, bins)
    low_real, low_imaginary = real[..., : config.num_bins], imaginary[..., : config.num_bins]
    magnitudes = ops.transpose(ops.sqrt(ops.square(low_real) + ops.square(low_imaginary)), (1, 2, 0))
    shape = (-1, config.segment_frames, config.num_bins, config.num_channels)
    estimates = network(ops.reshape(magnitudes, shape), training=False)

    masks = ratio_masks(estimates, exponent=config.separation_exponent, xp=ops)
    num_bins = real.shape[-1]
    masks = extend_masks(masks, num_bins=num_bins, extension=config.mask_extension, xp=ops)
    # (segments, stems, T, bins, channels) to (stems, channels, frames, bins), where the FFT wants its axis last.
    masks = ops.transpose(masks, (1, 4, 0, 2, 3))
    masks = ops.reshape(masks, (len(config.instruments), config.num_channels, -1, num_bins))
    stem_frames = irfft((real * masks, imaginary * masks), config.frame_length)
    windowed = stem_frames * synthesis_window("hann", config.frame_length, config.hop_length)
    return ops.transpose(overlap_add(windowed, config.hop_length), (0, 2, 1))


def overlap_add(frames: Any, hop_length: int) -> Any:
    """Add up frames that start every ``hop_length`` samples.

    float32 ``(stems, channels, frames, frame_length)`` to ``(stems, channels, samples)``, which end with the last frame
    and zeros to a whole hop.
    """
    stems, channels, _, frame_length = frames.shape
    overlap = -(-frame_length // hop_length)
    added = 0
    for hop in range(overlap):
        part = frames[..., hop * hop_length : (hop + 1) * hop_length]
        short = hop_length - part.shape[-1]
        added = added + ops.pad(part, [(0, 0), (0, 0), (hop, overlap - 1 - hop), (0, short)])
    return ops.reshape(added, (stems, channels, -1))
