"""What flows.inspect shows: a cached chunk beside the spectrograms that its recordings give now, and a picture."""

import difflib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import DB_RANGE, FLOOR, Chunk, SampleWindow, chunk_magnitude
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.pcm import PcmSignal
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.spectrogram_picture import (
    Extent,
    build_figure,
    save_figure,
    show_spectrogram,
    spectrogram_extent,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Decibels = NDArray[np.float32]

_BYTE_STEPS = 255
_FLOAT16_ERROR_DB = 20 * np.log10(1 + 2**-11)  # the relative error of a float16 is at most 2^-11
_ARITHMETIC_DB = 1e-3
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


@dataclass(frozen=True, eq=False)
class SignalComparison:
    """One signal of a chunk, cached and recomputed."""

    name: str  # ``mixture`` or the instrument
    cached_db: Decibels  # magnitudes from the cache, float32 ``(frames, bins, channels)``
    recomputed_db: Decibels  # magnitudes of the recording, not rounded, of the same shape
    rounding_db: float  # the largest difference that rounding can cause

    @property
    def loudest_db(self) -> float:
        """The loudest bin of the two."""
        return float(max(self.cached_db.max(), self.recomputed_db.max()))

    @property
    def difference_db(self) -> Decibels:
        """Cached minus recomputed; NaN where both lie below the 100 dB range that bytes can represent."""
        difference = self.cached_db - self.recomputed_db
        floor_db = self.recomputed_db.max() - DB_RANGE
        below = (self.recomputed_db < floor_db) & (self.cached_db < floor_db + self.rounding_db)
        return np.where(below, np.float32(np.nan), difference)

    @property
    def largest_db(self) -> float:
        """The largest absolute difference."""
        return float(np.nanmax(np.abs(self.difference_db)))

    @property
    def rms_db(self) -> float:
        """The root of the mean square of the differences."""
        return float(np.sqrt(np.nanmean(np.square(self.difference_db, dtype=np.float64))))

    @property
    def summary(self) -> str:
        """One line: the differences, and whether rounding explains them."""
        largest_db = self.largest_db
        explained = (
            f"all of it rounding, up to {self.rounding_db:.3f} dB"
            if largest_db <= self.rounding_db
            else f"rounding explains only {self.rounding_db:.3f} dB: it was cached from other audio"
        )
        return f"{self.name}: differs by at most {largest_db:.3f} dB, RMS {self.rms_db:.3f} dB ({explained})"


def compare_chunk(chunk: Chunk, row: TrackRow, config: ModelConfig) -> list[SignalComparison]:
    """Compare a cached chunk with the song's recordings: the mixture, then the instruments in the config's order.

    Raises:
        DatasetError: a recording ends before the chunk does.
        AudioDecodeError: a recording cannot be decoded.
    """
    comparisons = []
    for name, signal, path in zip(("mixture", *config.instruments), chunk.signals, row.files, strict=True):
        assert not isinstance(signal, PcmSignal)
        byte_error_db = (signal.max_db - signal.min_db) / _BYTE_STEPS / 2
        rounding_db = byte_error_db if config.cache_dtype == "uint8" else _FLOAT16_ERROR_DB
        cached_db, recomputed_db = _decibels(signal.magnitude()), _decibels(_recompute(path, chunk, config))
        comparisons.append(SignalComparison(name, cached_db, recomputed_db, rounding_db + _ARITHMETIC_DB))
    return comparisons


def _recompute(path: Path, chunk: Chunk, config: ModelConfig) -> NDArray[np.float32]:
    start = round(chunk.start_s * config.sample_rate)
    num_samples = (chunk.length - 1) * config.hop_length + config.frame_length
    # Decoded from the file's start, as for the cache: after a seek, a resampler's samples lie elsewhere.
    with closing(read_blocks(path, sample_rate=config.sample_rate, num_channels=config.num_channels)) as blocks:
        waveform = SampleWindow(blocks, config.num_channels).samples(start, start + num_samples)
    if len(waveform) < num_samples:
        raise DatasetError(
            f"ends before the chunk that starts at {chunk.start_s:.2f} s does, so it has changed since it was cached",
            path=path,
            hint="Cache the songs again.",
        )
    return chunk_magnitude(waveform, config)


def _decibels(magnitude: NDArray[np.float32]) -> Decibels:
    decibels: Decibels = 20 * np.log10(np.maximum(magnitude, np.float32(FLOOR)))
    return decibels


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
    gray = f"gray: both more than {DB_RANGE:.0f} dB below the signal's loudest bin"
    figure.supxlabel(gray, x=0.995, ha="right", fontsize="small")
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
    limit = max(float(np.nanpercentile(np.abs(comparison.difference_db), 99)), _LEAST_LIMIT_DB)
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
