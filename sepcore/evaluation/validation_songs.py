"""A few whole validation songs, separated and scored while a network is trained, and an excerpt of each."""

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.engines.base import Engine
from sepcore.errors import DatasetError, StemworksError
from sepcore.evaluation.bsseval.sdr import sdr_frames
from sepcore.evaluation.excerpt_media import (
    COLORS,
    DB_RANGE,
    LEAST_POWER,
    Power,
    mean_power,
    show_power,
    write_browser_audio,
)
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.spectrogram_picture import build_figure, save_figure, show_spectrogram, spectrogram_extent

_logger = logging.getLogger(__name__)

Waveform = NDArray[np.float32]
Stems = NDArray[np.float32]

EXCERPT_S = 10.0
# Mixture, targets and estimates of a song are in memory at once: nine signals for four stems, 1.9 GB for ten minutes
# of stereo at 44.1 kHz. A recording of an hour must not end a training run for lack of memory.
LONGEST_S = 600.0


@dataclass(frozen=True, eq=False)
class ScoredSong:
    """A song as a network separates it: its scores, and an excerpt from its middle.

    Attributes:
        name: The song's name in its manifest.
        sdr: Median SDR of the frames of 1 s by instrument, in dB; NaN if nothing could be scored.
        start_s: Where the excerpt starts in the song, in seconds.
        mixture: Excerpt of the mixture, float32 ``(samples, channels)``: 10 s, or all of a shorter song.
        estimates: The same excerpt of the estimates, by instrument.
        targets: The same excerpt of the true stems, by instrument.
    """

    name: str
    sdr: Mapping[str, float]
    start_s: float
    mixture: Waveform
    estimates: Mapping[str, Waveform]
    targets: Mapping[str, Waveform]


class ValidationSongs:
    """``config.validation_songs`` songs of a manifest, always the same ones, in any order of its rows.

    They are read from disk each time. A song that cannot be read is skipped, with one warning, until it can be.

    Attributes:
        rows: The chosen songs.
        unscored: Why songs have no score since the last `score`, by name.
    """

    def __init__(self, rows: Iterable[TrackRow], config: ModelConfig) -> None:
        self._config = config
        # Ranked by a seeded hash: a song added to the manifest replaces at most one, and one more to score none.
        ranked = sorted(rows, key=lambda row: hashlib.sha256(f"{config.random_seed} {row.name}".encode()).digest())
        self.rows = tuple(ranked[: config.validation_songs])
        self._unreadable: set[str] = set()
        self.unscored: dict[str, str] = {}

    def score(self, network: Any) -> list[ScoredSong]:
        """Separate at most ten minutes of every readable song by ratio masks, and score it; ``network`` is Keras's."""
        from sepcore.engines.keras import KerasEngine  # with TensorFlow, which scoring does without

        engine = KerasEngine(self._config, network)
        songs = []
        self.unscored = {}
        for row in self.rows:
            try:
                mixture, targets = _read_song(row, self._config)
            except (StemworksError, OSError) as error:
                if row.name not in self._unreadable:
                    _logger.warning("%s: left out of the validation songs until it can be read: %s", row.name, error)
                self._unreadable.add(row.name)
                self.unscored[row.name] = str(error)
                continue
            self._unreadable.discard(row.name)
            songs.append(_scored(row.name, mixture, targets, engine))
            if all(math.isnan(sdr) for sdr in songs[-1].sdr.values()):
                self.unscored[row.name] = "silent in every second, or estimates that are not finite"
        return songs


def validation_sdr(songs: Sequence[ScoredSong]) -> dict[str, float]:
    """``validation_SDR_<instrument>``, the median over the songs in dB, and their mean ``validation_SDR``.

    Instruments without a score are left out; without any score, the result is empty.
    """
    medians = {}
    for instrument in dict.fromkeys(name for song in songs for name in song.sdr):
        median = _finite_median([song.sdr[instrument] for song in songs if instrument in song.sdr])
        if not math.isnan(median):
            medians[f"validation_SDR_{instrument}"] = median
    return {"validation_SDR": float(np.mean(list(medians.values()))), **medians} if medians else {}


def _read_song(row: TrackRow, config: ModelConfig) -> tuple[Waveform, Stems]:
    """Mixture ``(samples, channels)`` and targets ``(stems, samples, channels)``, cut to the shortest file."""
    mixture, *targets = (
        read_waveform(path, sample_rate=config.sample_rate, num_channels=config.num_channels, duration_s=LONGEST_S)
        for path in row.files
    )
    length = min(len(waveform) for waveform in (mixture, *targets))
    if not length:
        raise DatasetError("one of its files has no samples")
    return mixture[:length], np.stack([target[:length] for target in targets])


def _scored(name: str, mixture: Waveform, targets: Stems, engine: Engine) -> ScoredSong:
    config = engine.config
    estimates, done = np.empty_like(targets), 0
    for stems in engine.separate([mixture]):
        estimates[:, done : done + stems.shape[1]] = stems
        done += stems.shape[1]
    if np.isfinite(estimates).all():
        frames = sdr_frames(targets, estimates, config.sample_rate, config.sample_rate)
        sdr = [_finite_median(of_stem) for of_stem in frames]
    else:  # the weights have become NaN: the next training step reports it, and where the last good ones are
        sdr = [math.nan] * len(targets)
    length = round(min(EXCERPT_S * config.sample_rate, len(mixture)))
    start = (len(mixture) - length) // 2

    def excerpts(stems: Stems) -> dict[str, Waveform]:
        # Copies, so that the whole song can be freed.
        parts = (stem[start : start + length].copy() for stem in stems)
        return dict(zip(config.instruments, parts, strict=True))

    return ScoredSong(
        name=name,
        sdr=dict(zip(config.instruments, sdr, strict=True)),
        start_s=start / config.sample_rate,
        mixture=mixture[start : start + length].copy(),
        estimates=excerpts(estimates),
        targets=excerpts(targets),
    )


def _finite_median(scores: Iterable[float]) -> float:
    """The median of the scores that are finite, as in the final scores; NaN if none is."""
    finite = [score for score in scores if math.isfinite(score)]
    return float(np.median(finite)) if finite else math.nan


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
        The files, written and refused as in `write_browser_audio`; OSError if the picture cannot be written.
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
    gray = f"gray: mixture more than {DB_RANGE:.0f} dB below its loudest bin"
    figure.supxlabel(gray, x=0.995, ha="right", fontsize="small")
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
