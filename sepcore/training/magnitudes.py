"""Batches of waveforms to magnitudes, on the device that trains."""

from collections.abc import Callable
from typing import Any

from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.signal.windows import analysis_window
from sepcore.training.devices import compiled

Batch = tuple[Any, Any]


def batch_magnitudes(config: ModelConfig) -> Callable[[Batch], Batch]:
    """What turns a batch of a config's ``cache_content`` into magnitudes; those of spectrograms stay as they are.

    Waveforms are float32, of the mixture ``(batch, samples, channels)`` and of the stems ``(batch, stems, samples,
    channels)``, with the samples of ``T`` frames. They become linear amplitudes, ``(batch, T, F, channels)`` and
    ``(batch, stems, T, F, channels)``, by the STFT of `magnitude_spectrogram`.
    """
    if config.cache_content == "spectrogram":
        return lambda batch: batch
    magnitudes = magnitudes_on_device(config)
    return lambda batch: (magnitudes(batch[0]), magnitudes(batch[1]))


def magnitudes_on_device(config: ModelConfig) -> Callable[[Any], Any]:
    """A compiled function from waveforms, ``(…, samples, channels)``, to magnitudes, ``(…, frames, F, channels)``."""
    window = analysis_window("hann", config.frame_length)

    def magnitudes(waveforms: Any) -> Any:
        *lead, samples, channels = waveforms.shape
        one_by_one = ops.reshape(ops.moveaxis(waveforms, -1, -2), (-1, samples))
        frames = ops.extract_sequences(one_by_one, config.frame_length, config.hop_length)
        real, imaginary = (part[..., : config.num_bins] for part in ops.rfft(frames * window))
        amplitudes = ops.sqrt(ops.square(real) + ops.square(imaginary))
        return ops.moveaxis(ops.reshape(amplitudes, (*lead, channels, -1, config.num_bins)), -3, -1)

    return compiled(magnitudes)
