"""Batches of waveforms to what the network takes and the loss compares, on the device that trains."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.signal.windows import analysis_window
from sepcore.training.device_stft import stft
from sepcore.training.devices import compiled

Batch = tuple[Any, Any]


def batch_spectra(config: ModelConfig) -> Callable[[Batch], Batch]:
    """What turns a batch of a config's ``cache_content`` into spectra; cached magnitudes stay as they are.

    Waveforms are float32, of the mixture ``(batch, samples, channels)`` and of the stems ``(batch, stems, samples,
    channels)``, with the samples of ``T`` frames: none of them is padded. They become magnitudes, linear amplitude
    ``(batch, T, F, channels)`` and ``(batch, stems, T, F, channels)``, or for a complex network real and imaginary
    parts, ``(batch, T, F, 2 * channels)`` and ``(batch, stems, T, F, 2 * channels)``.
    """
    if config.cache_content == "spectrogram":
        return lambda batch: batch
    spectra = spectra_on_device(config)
    return lambda batch: (spectra(batch[0]), spectra(batch[1]))


def spectra_on_device(config: ModelConfig) -> Callable[[Any], Any]:
    """A compiled function from waveforms, float32 ``(…, samples, channels)``, to the spectra that a network sees.

    They are magnitudes, ``(…, frames, F, channels)``, by the STFT of `magnitude_spectrogram`; or for a complex network,
    by the config's ``stft_window`` and ``stft_normalized``, the real and imaginary part of each channel in turn,
    ``(…, frames, F, 2 * channels)``.
    """
    window = analysis_window(config.stft_window, config.frame_length) / spectrum_divisor(config)
    is_complex = config.model.domain == "complex"

    def spectra(waveforms: Any) -> Any:
        *lead, samples, channels = waveforms.shape
        by_channel = ops.moveaxis(ops.reshape(waveforms, (-1, samples, channels)), -1, 1)
        real, imaginary = stft(by_channel, window, config.hop_length, config.num_bins)
        values = [real, imaginary] if is_complex else [ops.sqrt(ops.square(real) + ops.square(imaginary))]
        stacked = ops.transpose(ops.stack(values, axis=-1), (0, 2, 3, 1, 4))  # (rows, frames, bins, channels, values)
        return ops.reshape(stacked, (*lead, -1, config.num_bins, channels * len(values)))

    return compiled(spectra)


def spectrum_divisor(config: ModelConfig) -> np.float32:
    """What the STFT is divided by: the square root of ``frame_length`` where it is normalized, else 1."""
    return np.float32(config.frame_length**0.5 if config.stft_normalized else 1)
