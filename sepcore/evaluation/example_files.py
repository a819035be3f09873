"""The excerpt of a validation song as files to hear, in a browser or on MLflow's page, and a picture to see."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sepcore.config import ModelConfig
from sepcore.evaluation.example_picture import save_example_picture
from sepcore.evaluation.validation_songs import ScoredSong, Waveform
from sepcore.signal.audio_writer import write_audio

# What MPEG-1, 2 and 2.5 layer III are defined for; libmp3lame takes no other rate.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_CHANNELS = 2
_BITRATE = "128k"


def write_targets(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``mixture`` and ``<instrument>_target``, which no training changes, as audio; see `write_estimates`."""
    targets = {f"{name}_target": waveform for name, waveform in song.targets.items()}
    return _write_audio({**targets, "mixture": song.mixture}, folder, config)


def write_estimates(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``<instrument>_estimate`` as audio, and ``picture.png`` of mixture, targets, estimates and masks.

    Audio is mp3 of 128 kbit/s, or flac where mp3 cannot hold the config's sample rate or channels. Each file is written
    whole or not at all; one that stands there is replaced.

    Args:
        song: The song.
        folder: Where to; made if need be.
        config: The model's.

    Returns:
        The files written.

    Raises:
        AudioEncodeError: audio that cannot be written.
        FfmpegMissing: if there is no ffmpeg.
        OSError: a picture that cannot be written.
    """
    estimates = {f"{name}_estimate": waveform for name, waveform in song.estimates.items()}
    files = _write_audio(estimates, folder, config)
    picture = folder / "picture.png"
    save_example_picture(picture, song, config)
    return [*files, picture]


def _write_audio(signals: Mapping[str, Waveform], folder: Path, config: ModelConfig) -> list[Path]:
    holds = config.sample_rate in _MP3_RATES_HZ and config.num_channels <= _MP3_CHANNELS
    files = []
    for name, waveform in signals.items():
        path = folder / f"{name}.{'mp3' if holds else 'flac'}"
        # A network whose weights have become NaN is heard as silence.
        finite = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
        write_audio(path, finite, sample_rate=config.sample_rate, bitrate=_BITRATE)
        files.append(path)
    return files
