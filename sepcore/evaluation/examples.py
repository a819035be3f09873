"""The excerpt of a validation song: audio to hear, and a picture of what goes into the network and comes out of it."""

import math
from pathlib import Path

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.evaluation.excerpt_media import (
    COLORS,
    DB_RANGE,
    LEAST_POWER,
    Power,
    mean_power,
    show_power,
    write_browser_audio,
)
from sepcore.evaluation.validation_songs import ScoredSong, Waveform
from sepcore.signal.spectrogram_picture import build_figure, save_figure, show_spectrogram, spectrogram_extent

_COLUMNS = ("mixture", "target", "estimate", "mask (estimate / mixture)")
# Small, since a picture is kept for every validation.
_WIDTH_IN, _DPI = 18.0, 80


def write_targets(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``mixture`` and ``<instrument>_target``, which no training changes, as audio; see `write_browser_audio`."""
    targets = {f"{name}_target": waveform for name, waveform in song.targets.items()}
    return write_browser_audio({**targets, "mixture": song.mixture}, folder, config)


def write_estimates(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``<instrument>_estimate`` as audio, and ``picture.png`` of mixture, targets, estimates and masks.

    Returns:
        The files; each is written whole or not at all, and replaces an older one.

    Raises:
        AudioEncodeError: audio that cannot be written.
        FfmpegMissing: if there is no ffmpeg.
        OSError: a picture that cannot be written.
    """
    estimates = {f"{name}_estimate": waveform for name, waveform in song.estimates.items()}
    files = write_browser_audio(estimates, folder, config)
    picture = folder / "picture.png"
    _save_picture(picture, song, config)
    return [*files, picture]


def _save_picture(path: Path, song: ScoredSong, config: ModelConfig) -> None:
    """Draw a row for each instrument: mixture, target and estimate in dB on one scale, and the mask.

    Channels are shown by their mean power, up to the highest bin that the network sees. The mask is the root of the
    powers' ratio, in [0, 1].
    """
    from matplotlib import colormaps

    title = f"{song.name}: {song.start_s:.1f} s to {song.start_s + len(song.mixture) / config.sample_rate:.1f} s"
    figure, panels = build_figure(len(song.targets), len(_COLUMNS), title=title, width_in=_WIDTH_IN, dpi=_DPI)
    mixture = _power(song.mixture, config)
    num_frames, num_bins = mixture.shape
    extent = spectrogram_extent(num_frames, num_bins, config, start_s=song.start_s)
    top_db = 10 * np.log10(max(float(mixture.max()), LEAST_POWER))
    for (name, target), row in zip(song.targets.items(), panels, strict=True):
        estimate = _power(song.estimates[name], config)
        for panel, power in zip(row, (mixture, _power(target, config), estimate), strict=False):
            loudness = show_power(panel, power, extent, top_db)
        row[-1].set_facecolor("0.85")
        viridis = colormaps["viridis"].resampled(COLORS)
        mask = show_spectrogram(row[-1], _mask(estimate, mixture), extent, cmap=viridis, vmin=0, vmax=1)
        score = "no SDR" if math.isnan(song.sdr[name]) else f"SDR {song.sdr[name]:.1f} dB"
        row[0].set_ylabel(f"{name} ({score})\nfrequency (kHz)", parse_math=False)
    for panel, heading in zip(panels[0], _COLUMNS, strict=True):
        panel.set_title(heading)
    figure.colorbar(loudness, ax=panels[:, :3].ravel().tolist(), label="dB", pad=0.01, aspect=30)
    figure.colorbar(mask, ax=panels[:, 3].tolist(), label="mask", pad=0.02, aspect=30)
    grey = f"grey: mixture more than {DB_RANGE:.0f} dB below its loudest bin"
    figure.supxlabel(grey, x=0.995, ha="right", fontsize="small")
    save_figure(path, figure)


def _power(waveform: Waveform, config: ModelConfig) -> Power:
    """``(frames, bins)``; a single frame if the excerpt is shorter than a window."""
    missing = max(config.frame_length - len(waveform), 0)
    return mean_power(np.pad(waveform, ((0, missing), (0, 0))), config, num_bins=config.num_bins)


def _mask(estimate: Power, mixture: Power) -> Power:
    """NaN where the mixture is so quiet that a ratio means nothing."""
    heard = mixture > max(float(mixture.max()) * 10 ** (-DB_RANGE / 10), LEAST_POWER)
    ratio = np.divide(estimate, mixture, out=np.full_like(estimate, np.nan), where=heard)
    mask: Power = np.sqrt(np.minimum(ratio, 1))
    return mask
