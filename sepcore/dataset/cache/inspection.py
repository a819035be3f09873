"""What flows.inspect shows: a row of the index, and a picture of its chunk beside what the recordings give now."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import DB_RANGE
from sepcore.dataset.cache.comparison import SignalComparison
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.errors import DatasetError
from sepcore.signal.spectrogram_picture import (
    Extent,
    build_figure,
    save_figure,
    show_spectrogram,
    spectrogram_extent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The smallest range of the picture's colors: rounding, 0.2 dB, stays pale, and pictures can be compared.
_LEAST_LIMIT_DB = 1.0
_SHOWN_SONGS = 3


def chunk_row(index: ChunkIndex, *, song: str | None = None, chunk: int | None = None, row: int | None = None) -> int:
    """The number of a row of the index, from 0.

    Args:
        index: The index.
        song: A song's name in the manifest; None: ``row`` counts.
        chunk: Place among the song's chunks, from 0; None: the first one listed.
        row: The number; None: the first row.

    Raises:
        DatasetError: no such row, song (the hint suggests similar names) or chunk (the hint lists those there are).
    """
    if song is None:
        if row is not None and not 0 <= row < len(index):
            raise DatasetError(f"has no row {row}", path=index.path, hint=f"Give 0 to {len(index) - 1}.")
        return row or 0
    path, column = index.path, index.song_column()
    songs = column.dictionary.to_pylist()
    if song not in songs:
        raise DatasetError(f'has no song "{song}"', path=path, hint=_songs_like(song, songs))
    rows = np.flatnonzero(column.indices.to_numpy() == songs.index(song))
    chunks = index.chunk[rows].tolist()
    if chunk is None:
        chunk = chunks[0]
    if chunk not in chunks:
        hint = f"The song's chunks are {', '.join(map(str, chunks))}."
        raise DatasetError(f'has no chunk {chunk} of "{song}"', path=path, hint=hint)
    return int(rows[chunks.index(chunk)])


def _songs_like(song: str, songs: list[str]) -> str:
    within = [name for name in songs if song.lower() in name.lower()]
    near = within or difflib.get_close_matches(song, songs, _SHOWN_SONGS, cutoff=0.5)
    if near:
        quoted = [f'"{name}"' for name in near[:_SHOWN_SONGS]]
        return f"Did you mean {' or '.join(quoted)}?"
    return f'It lists {len(songs)} song(s), the first is "{songs[0]}".'


def save_picture(
    path: Path, comparisons: Sequence[SignalComparison], config: ModelConfig, *, title: str, start_s: float
) -> None:
    """Draw a chunk to a PNG file, a row for each signal.

    The spectrograms show the mean power of the channels; the difference is that of the channel where it is larger.
    ``start_s`` is where the chunk starts in the song, in seconds; the file's folder is made.
    """
    figure, panels = build_figure(len(comparisons), 3, title=title)
    for comparison, row in zip(comparisons, panels, strict=True):
        frames, bins, _ = comparison.cached_db.shape
        _draw_row(figure, row, comparison, spectrogram_extent(frames, bins, config, start_s=start_s))
    for panel, heading in zip(panels[0], (f"cached ({config.cache_dtype})", "recomputed", None), strict=True):
        if heading:
            panel.set_title(heading)
    figure.supxlabel(f"gray: {comparisons[0].below}", x=0.995, ha="right", fontsize="small")
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

    # Not the largest difference: a few outliers would leave all other bins white.
    counted = np.abs(comparison.difference_db[~np.isnan(comparison.difference_db)])
    limit = max(float(np.percentile(counted, 99)) if counted.size else 0.0, _LEAST_LIMIT_DB)
    difference.set_facecolor("0.85")
    # Not smoothed: differences of both signs would cancel.
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
    """The difference of the channel where it is larger, for each bin; NaN only if all channels are NaN."""
    channel = np.nan_to_num(np.abs(difference_db), nan=-1).argmax(axis=2)
    return np.take_along_axis(difference_db, channel[..., None], axis=2)[..., 0]
