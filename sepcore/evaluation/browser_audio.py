"""Audio to listen to in a browser: mp3, or flac where mp3 cannot hold it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.signal.audio_writer import write_audio

# What MPEG-1, 2 and 2.5 layer III are defined for; libmp3lame takes no other rate.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_CHANNELS = 2
_BITRATE = "128k"


def write_browser_audio(
    signals: Mapping[str, NDArray[np.floating[Any]]], folder: Path, config: ModelConfig
) -> list[Path]:
    """Write each signal to ``<folder>/<its key>.mp3`` of 128 kbit/s, or ``.flac`` where mp3 cannot hold it.

    Each file is written whole or not at all; one that stands there is replaced.

    Args:
        signals: Waveforms ``(samples, channels)`` in [-1, 1] by file name without suffix; a sample that is NaN or
            infinite, as from a network whose weights have become NaN, is heard as silence.
        folder: Where to; made if need be.
        config: Its sample rate and channels.

    Returns:
        The files, in the signals' order.

    Raises:
        AudioEncodeError: audio that cannot be written.
        FfmpegMissing: if there is no ffmpeg.
    """
    holds = config.sample_rate in _MP3_RATES_HZ and config.num_channels <= _MP3_CHANNELS
    files = []
    for name, waveform in signals.items():
        path = folder / f"{name}.{'mp3' if holds else 'flac'}"
        finite = np.nan_to_num(waveform.astype(np.float32, copy=False), nan=0.0, posinf=0.0, neginf=0.0)
        write_audio(path, finite, sample_rate=config.sample_rate, bitrate=_BITRATE)
        files.append(path)
    return files
