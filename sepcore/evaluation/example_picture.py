"""The picture of a validation song's excerpt: what goes into the network, what should come out, and what does."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.evaluation.validation_songs import ScoredSong, Waveform
from sepcore.signal.spectrogram import magnitude_spectrogram
from sepcore.signal.spectrogram_picture import build_figure, save_figure, show_spectrogram, spectrogram_extent

Power = NDArray[np.float32]

_COLUMNS = ("mixture", "target", "estimate", "mask (estimate / mixture)")
# A picture is kept for every validation: 0.72 MB for two stems, with all colours and mixed ones 0.91 MB.
_WIDTH_IN, _DPI, _COLOURS = 18.0, 80, 64
# Below the mixture's loudest bin; what is quieter is not heard beside it.
_DB_RANGE = 80.0
_LEAST_POWER = 1e-20


def save_example_picture(path: Path, song: ScoredSong, config: ModelConfig) -> None:
    """Draw an excerpt to a PNG file: a row an instrument, with mixture, target, estimate and mask.

    The first three are in dB on one scale for the whole picture. Of several channels the mean power is shown, of the
    bins those that the network sees. The mask is the root of the powers' ratio, in [0, 1].

    Args:
        path: Where to; its folder is made.
        song: The song.
        config: The STFT's settings.
    """
    from matplotlib import colormaps

    magma, viridis = (colormaps[name].resampled(_COLOURS) for name in ("magma", "viridis"))
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
