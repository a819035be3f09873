"""Spectrograms drawn as rows and columns of panels over seconds and kHz, saved as PNG."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.system.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW_HEIGHT_IN, _TITLE_HEIGHT_IN = 2.3, 0.9

# Seconds and kHz of a picture's edges: left, right, bottom, top.
Extent = tuple[float, float, float, float]


def build_figure(
    num_rows: int, num_columns: int, *, title: str, width_in: float = 15.0, dpi: int = 110
) -> tuple["Figure", NDArray[Any]]:
    """A figure and its panels ``(rows, columns)``, which share their axes; its height follows from the rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (width_in, _TITLE_HEIGHT_IN + _ROW_HEIGHT_IN * num_rows)
    figure = Figure(figsize=size, dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    # A $ in the name of a song does not start a formula.
    figure.suptitle(title, fontsize="x-large", parse_math=False)
    panels = figure.subplots(num_rows, num_columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels[-1]:
        panel.set_xlabel("time in the song (s)")
    return figure, panels


def show_spectrogram(panel: "Axes", values: NDArray[np.float32], extent: Extent, **options: Any) -> Any:
    """Draw values ``(frames, bins)`` into a panel; ``options`` are for `matplotlib.axes.Axes.imshow`."""
    return panel.imshow(values.T, origin="lower", aspect="auto", extent=extent, **options)


def spectrogram_extent(num_frames: int, num_bins: int, config: ModelConfig, *, start_s: float) -> Extent:
    """Edges of a spectrogram whose first window starts at ``start_s``; a frame is drawn at the middle of its window."""
    hop_s = config.hop_length / config.sample_rate
    first_s = start_s + config.frame_length / config.sample_rate / 2 - hop_s / 2
    bin_khz = config.sample_rate / config.frame_length / 1000
    return first_s, first_s + num_frames * hop_s, -bin_khz / 2, (num_bins - 0.5) * bin_khz


def save_figure(path: Path, figure: "Figure") -> None:
    """Write a figure as PNG, whole or not at all; the folder is made."""
    with atomic_path(path) as temporary, warnings.catch_warnings():
        # A character that the font lacks becomes a box; a warning for each would only fill the terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(temporary, format="png")
