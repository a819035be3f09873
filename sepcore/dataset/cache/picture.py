"""The picture of a chunk: each signal's spectrogram as it is cached, as it is recomputed, and the difference."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.comparison import SignalComparison
from sepcore.dataset.cache.quantisation import DB_RANGE
from sepcore.signal.spectrogram_picture import (
    Extent,
    build_figure,
    save_figure,
    show_spectrogram,
    spectrogram_extent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rounding, 0.2 dB, stays pale beside what would be a fault, and pictures can be compared with each other.
_LEAST_LIMIT_DB = 1.0


def save_picture(
    path: Path, comparisons: Sequence[SignalComparison], config: ModelConfig, *, title: str, start_s: float
) -> None:
    """Draw a chunk to a PNG file, a row a signal.

    Of several channels, the spectrograms show the mean power, the difference that of the channel in which it is larger.

    Args:
        path: Where to; its folder is made.
        comparisons: The signals.
        config: The STFT's settings.
        title: Above the picture, in any alphabet.
        start_s: Where the chunk starts in the song, in seconds.
    """
    figure, panels = build_figure(len(comparisons), 3, title=title)
    for comparison, row in zip(comparisons, panels, strict=True):
        frames, bins, _ = comparison.cached_db.shape
        _draw_row(figure, row, comparison, spectrogram_extent(frames, bins, config, start_s=start_s))
    for panel, heading in zip(panels[0], (f"cached ({config.cache_dtype})", "recomputed", None), strict=True):
        if heading:
            panel.set_title(heading)
    grey = f"grey: both more than {DB_RANGE:.0f} dB below the signal's loudest bin"
    figure.supxlabel(grey, x=0.995, ha="right", fontsize="small")
    save_figure(path, figure)


def _draw_row(figure: "Figure", row: NDArray[Any], comparison: SignalComparison, extent: Extent) -> None:
    cached, recomputed, difference = row
    top = comparison.loudest_db
    for panel, decibels in ((cached, comparison.cached_db), (recomputed, comparison.recomputed_db)):
        spectrogram = show_spectrogram(
            panel, _mean_power(decibels), extent, cmap="magma", vmin=top - DB_RANGE, vmax=top
        )
    figure.colorbar(spectrogram, ax=[cached, recomputed], label="dB", pad=0.01, aspect=15)
    cached.set_ylabel(f"{comparison.name}\nfrequency (kHz)")

    # Not the largest: a few bins that far apart would leave all others white.
    limit = max(float(np.nanpercentile(np.abs(comparison.difference_db), 99)), _LEAST_LIMIT_DB)
    difference.set_facecolor("0.85")
    # Not smoothed when it is made smaller, in which differences of both signs would cancel.
    shown = show_spectrogram(
        difference,
        _larger(comparison.difference_db),
        extent,
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
    )
    figure.colorbar(shown, ax=difference, label="dB", pad=0.02, aspect=15, extend="both")
    difference.set_title(
        f"cached − recomputed: at most {comparison.largest_db:.3f} dB, RMS {comparison.rms_db:.3f} dB",
        fontsize="medium",
    )


def _mean_power(decibels: NDArray[np.float32]) -> NDArray[np.float32]:
    power = 10 ** (decibels / 10)
    mean: NDArray[np.float32] = 10 * np.log10(power.mean(axis=2))
    return mean


def _larger(difference_db: NDArray[np.float32]) -> NDArray[np.float32]:
    """Per bin, the difference of the channel in which it is larger; NaN only where it is in all."""
    channel = np.nan_to_num(np.abs(difference_db), nan=-1).argmax(axis=2)
    return np.take_along_axis(difference_db, channel[..., None], axis=2)[..., 0]
