"""The excerpt of a validation song: audio to hear, and a picture of what goes into the network and comes out of it."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.evaluation.excerpt_media import write_browser_audio
from sepcore.evaluation.validation_songs import ScoredSong, Waveform
from sepcore.signal.spectrogram import magnitude_spectrogram
from sepcore.signal.spectrogram_picture import build_figure, save_figure, show_spectrogram, spectrogram_extent

Power = NDArray[np.float32]

_COLUMNS = ("mixture", "target", "estimate", "mask (estimate / mixture)")
# A picture is kept for every validation; fewer colors make smaller files.
_WIDTH_IN, _DPI, _COLORS = 18.0, 80, 64
# Below the mixture's loudest bin; what is quieter is not heard beside it.
_DB_RANGE = 80.0
_LEAST_POWER = 1e-20


def write_targets(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``mixture`` and ``<instrument>_target``, which no training changes, as audio; see `write_estimates`."""
    targets = {f"{name}_target": waveform for name, waveform in song.targets.items()}
    return write_browser_audio({**targets, "mixture": song.mixture}, folder, config)


def write_estimates(song: ScoredSong, folder: Path, config: ModelConfig) -> list[Path]:
    """Write ``<instrument>_estimate`` as audio, and ``picture.png`` of mixture, targets, estimates and masks.

    The audio is as `write_browser_audio` writes it. Each file is written whole or not at all; one that stands there is
    replaced.

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
    files = write_browser_audio(estimates, folder, config)
    picture = folder / "picture.png"
    _save_picture(picture, song, config)
    return [*files, picture]


def _save_picture(path: Path, song: ScoredSong, config: ModelConfig) -> None:
    """Draw an excerpt to a PNG file: a row an instrument, with mixture, target, estimate and mask.

    The first three are in dB on one scale for the whole picture. Of several channels the mean power is shown, of the
    bins those that the network sees. The mask is the root of the powers' ratio, in [0, 1].
    """
    from matplotlib import colormaps

    magma, viridis = (colormaps[name].resampled(_COLORS) for name in ("magma", "viridis"))
    title = f"{song.name}: {song.start_s:.1f} s to {song.start_s + len(song.mixture) / config.sample_rate:.1f} s"
    figure, panels = build_figure(len(song.targets), len(_COLUMNS), title=title, width_in=_WIDTH_IN, dpi=_DPI)
    mixture = _mean_power(song.mixture, config)
    num_frames, num_bins = mixture.shape
    extent = spectrogram_extent(num_frames, num_bins, config, start_s=song.start_s)
    top = 10 * np.log10(max(float(mixture.max()), _LEAST_POWER))
    for (name, target), row in zip(song.targets.items(), panels, strict=True):
        estimate = _mean_power(song.estimates[name], config)
        for panel, power in zip(row, (mixture, _mean_power(target, config), estimate), strict=False):
            decibels = 10 * np.log10(np.maximum(power, np.float32(_LEAST_POWER)))
            loudness = show_spectrogram(
                panel, decibels, extent, cmap=magma, interpolation_stage="data", vmin=top - _DB_RANGE, vmax=top
            )
        row[-1].set_facecolor("0.85")
        mask = show_spectrogram(row[-1], _mask(estimate, mixture), extent, cmap=viridis, vmin=0, vmax=1)
        score = "no SDR" if math.isnan(song.sdr[name]) else f"SDR {song.sdr[name]:.1f} dB"
        row[0].set_ylabel(f"{name} ({score})\nfrequency (kHz)", parse_math=False)
    for panel, heading in zip(panels[0], _COLUMNS, strict=True):
        panel.set_title(heading)
    figure.colorbar(loudness, ax=panels[:, :3].ravel().tolist(), label="dB", pad=0.01, aspect=30)
    figure.colorbar(mask, ax=panels[:, 3].tolist(), label="mask", pad=0.02, aspect=30)
    grey = f"grey: mixture more than {_DB_RANGE:.0f} dB below its loudest bin"
    figure.supxlabel(grey, x=0.995, ha="right", fontsize="small")
    save_figure(path, figure)


def _mean_power(waveform: Waveform, config: ModelConfig) -> Power:
    """``(frames, bins)``; of an excerpt shorter than a window, one frame."""
    missing = max(config.frame_length - len(waveform), 0)
    magnitudes = magnitude_spectrogram(
        np.pad(waveform, ((0, missing), (0, 0))),
        frame_length=config.frame_length,
        hop_length=config.hop_length,
        num_bins=config.num_bins,
    )
    power: Power = np.square(magnitudes).mean(axis=2)
    return power


def _mask(estimate: Power, mixture: Power) -> Power:
    """NaN where the mixture is too quiet to be seen, so that a ratio says nothing."""
    heard = mixture > max(float(mixture.max()) * 10 ** (-_DB_RANGE / 10), _LEAST_POWER)
    ratio = np.divide(estimate, mixture, out=np.full_like(estimate, np.nan), where=heard)
    mask: Power = np.sqrt(np.minimum(ratio, 1))
    return mask
