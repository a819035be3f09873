"""An excerpt to hear and see in a browser: mp3 or flac audio, and spectrogram pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.signal.audio_writer import write_audio
from sepcore.signal.spectrogram import magnitude_spectrogram
from sepcore.signal.spectrogram_picture import save_figure, show_spectrogram

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


# 128 kbit/s of mp3 hold no more, and ears hardly do.
_TOP_HZ = 16_000.0
_WIDTH_PX, _ROW_HEIGHT_PX, _COLOURS = 1000, 128, 64
# Below the loudest bin of all rows; what is quieter is not heard beside it.
_DB_RANGE = 80.0
_LEAST_POWER = 1e-20


def picture_top_hz(config: ModelConfig) -> float:
    """Frequency at the upper edge of each row: 16 kHz, or the highest that the sample rate holds."""
    return min(_TOP_HZ, config.sample_rate / 2)


def save_excerpt_picture(path: Path, waveforms: Sequence[NDArray[np.float32]], config: ModelConfig) -> None:
    """Draw the spectrograms of signals one above another, without margins: a page sets scale and playhead over them.

    The left edge is the first sample, the right edge the end; each row goes from 0 Hz to `picture_top_hz`. All rows are
    in dB on one scale: from the loudest bin of all of them 80 dB down. Of several channels the mean power is shown.

    Args:
        path: Where to; its folder is made.
        waveforms: float32 ``(samples, channels)``, all of one length, from above.
        config: Sample rate and STFT.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [_mean_power(waveform, config) for waveform in waveforms]
    # Where all is silent nothing is the loudest: it is dark, not bright.
    loudest = max(float(row.max()) for row in rows)
    top_db = max(10 * np.log10(max(loudest, _LEAST_POWER)), 10 * np.log10(_LEAST_POWER) + _DB_RANGE)
    figure = Figure(figsize=(_WIDTH_PX / 100, _ROW_HEIGHT_PX * len(rows) / 100), dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        len(rows), 1, squeeze=False, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 1, "hspace": 0}
    )
    for panel, power in zip(panels[:, 0], rows, strict=True):
        panel.set_axis_off()
        show_spectrogram(
            panel,
            10 * np.log10(np.maximum(power, np.float32(_LEAST_POWER))),
            _extent(power, config),
            cmap=colormaps["magma"].resampled(_COLOURS),
            interpolation_stage="data",
            vmin=top_db - _DB_RANGE,
            vmax=top_db,
        )
        panel.set_xlim(0, len(waveforms[0]))
        panel.set_ylim(0, picture_top_hz(config))
    save_figure(path, figure)


def _mean_power(waveform: NDArray[np.float32], config: ModelConfig) -> NDArray[np.float32]:
    """``(frames, bins)``; half a window of silence at either end, so that the frames cover the signal to its edges."""
    finite = np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)
    margin = config.frame_length // 2
    magnitudes = magnitude_spectrogram(
        np.pad(finite, ((margin, margin + config.hop_length), (0, 0))),
        frame_length=config.frame_length,
        hop_length=config.hop_length,
        num_bins=config.frame_length // 2 + 1,
    )
    power: NDArray[np.float32] = np.square(magnitudes).mean(axis=2)
    return power


def _extent(power: NDArray[np.float32], config: ModelConfig) -> tuple[float, float, float, float]:
    """Samples and Hz of the edges: frame 0 is centred on sample 0, bin 0 on 0 Hz."""
    num_frames, num_bins = power.shape
    hop, bin_hz = config.hop_length, config.sample_rate / config.frame_length
    return -hop / 2, (num_frames - 0.5) * hop, -bin_hz / 2, (num_bins - 0.5) * bin_hz
