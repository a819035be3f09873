"""An excerpt to hear and see in a browser: mp3 or flac audio, and spectrogram pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.signal.audio_writer import write_audio
from sepcore.signal.spectrogram import magnitude_spectrogram
from sepcore.signal.spectrogram_picture import Extent, save_figure, show_spectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Power = NDArray[np.float32]

# The rates of MPEG-1, 2 and 2.5 layer III; libmp3lame takes no other.
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_CHANNELS = 2
_BITRATE = "128k"

# 128 kbit/s of mp3 hold no more, and ears hardly do.
_TOP_HZ = 16_000.0
_WIDTH_PX, _ROW_HEIGHT_PX = 1000, 128
# Fewer colors make smaller files.
COLORS = 64
# Below the loudest bin; quieter sound is inaudible next to it.
DB_RANGE = 80.0
LEAST_POWER = 1e-20


def write_browser_audio(
    signals: Mapping[str, NDArray[np.floating[Any]]], folder: Path, config: ModelConfig
) -> list[Path]:
    """Write each signal to ``<folder>/<its key>.mp3`` at 128 kbit/s, or ``.flac`` if mp3 cannot hold it.

    Each file is written whole or not at all, and replaces an older one.

    Args:
        signals: Waveforms ``(samples, channels)`` in [-1, 1] by file name without suffix. Samples that are NaN or
            infinite, as from a network with NaN weights, become silence.
        folder: Made if need be.
        config: For its sample rate and channels.

    Returns:
        The files, in the signals' order.

    Raises:
        AudioEncodeError: audio that cannot be written.
        FfmpegMissing: if there is no ffmpeg.
    """
    as_mp3 = config.sample_rate in _MP3_RATES_HZ and config.num_channels <= _MP3_CHANNELS
    files = []
    for name, waveform in signals.items():
        path = folder / f"{name}.{'mp3' if as_mp3 else 'flac'}"
        finite = _finite(waveform.astype(np.float32, copy=False))
        write_audio(path, finite, sample_rate=config.sample_rate, bitrate=_BITRATE)
        files.append(path)
    return files


def _finite(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.nan_to_num(waveform, nan=0.0, posinf=0.0, neginf=0.0)


def picture_top_hz(config: ModelConfig) -> float:
    """Frequency at the upper edge of each row: 16 kHz, or the highest that the sample rate holds."""
    return min(_TOP_HZ, config.sample_rate / 2)


def save_excerpt_picture(path: Path, waveforms: Sequence[NDArray[np.float32]], config: ModelConfig) -> None:
    """Draw the spectrograms of signals one above another as PNG, without margins: a page adds scale and playhead.

    The left edge is the first sample, the right edge the end; each row goes from 0 Hz to `picture_top_hz`. All rows
    share one scale in dB, from their loudest bin 80 dB down. Channels are shown by their mean power. ``waveforms`` are
    float32 ``(samples, channels)``, all of one length, from above; the folder is made.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # Half a window of silence at either end, so that the frames cover the signal to its edges.
    margin, hop = config.frame_length // 2, config.hop_length
    padded = (np.pad(_finite(waveform), ((margin, margin + hop), (0, 0))) for waveform in waveforms)
    rows = [mean_power(waveform, config, num_bins=margin + 1) for waveform in padded]
    # Silence is dark, not bright.
    loudest = max(float(row.max()) for row in rows)
    top_db = max(10 * np.log10(max(loudest, LEAST_POWER)), 10 * np.log10(LEAST_POWER) + DB_RANGE)
    # Samples and Hz of the edges: frame 0 is centered on sample 0, bin 0 on 0 Hz.
    (num_frames, num_bins), bin_hz = rows[0].shape, config.sample_rate / config.frame_length
    extent = -hop / 2, (num_frames - 0.5) * hop, -bin_hz / 2, (num_bins - 0.5) * bin_hz
    figure = Figure(figsize=(_WIDTH_PX / 100, _ROW_HEIGHT_PX * len(rows) / 100), dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(
        len(rows), 1, squeeze=False, gridspec_kw={"left": 0, "right": 1, "bottom": 0, "top": 1, "hspace": 0}
    )
    for panel, power in zip(panels[:, 0], rows, strict=True):
        panel.set_axis_off()
        show_power(panel, power, extent, top_db)
        panel.set_xlim(0, len(waveforms[0]))
        panel.set_ylim(0, picture_top_hz(config))
    save_figure(path, figure)


def mean_power(waveform: NDArray[np.float32], config: ModelConfig, *, num_bins: int) -> Power:
    """Mean power of the channels of a waveform of at least one window, ``(frames, bins)``."""
    magnitudes = magnitude_spectrogram(
        waveform, frame_length=config.frame_length, hop_length=config.hop_length, num_bins=num_bins
    )
    power: Power = np.square(magnitudes).mean(axis=2)
    return power


def show_power(panel: "Axes", power: Power, extent: Extent, top_db: float) -> Any:
    """Draw power ``(frames, bins)`` in dB, from ``top_db`` down to 80 dB below."""
    from matplotlib import colormaps

    return show_spectrogram(
        panel,
        10 * np.log10(np.maximum(power, np.float32(LEAST_POWER))),
        extent,
        cmap=colormaps["magma"].resampled(COLORS),
        interpolation_stage="data",
        vmin=top_db - DB_RANGE,
        vmax=top_db,
    )
