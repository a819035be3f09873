"""A few whole validation songs, separated and scored while a network is trained."""

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.engines.base import Engine
from sepcore.engines.keras import KerasEngine
from sepcore.errors import DatasetError, StemworksError
from sepcore.evaluation.bsseval.sdr import sdr_frames
from sepcore.signal.audio_reader import read_waveform

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
        # Ranked by a seeded hash: with one more song in the manifest, or one more to score, the others stay.
        ranked = sorted(rows, key=lambda row: hashlib.sha256(f"{config.random_seed} {row.name}".encode()).digest())
        self.rows = tuple(ranked[: config.validation_songs])
        self._unreadable: set[str] = set()
        self.unscored: dict[str, str] = {}

    def score(self, network: Any) -> list[ScoredSong]:
        """Separate at most ten minutes of every readable song by ratio masks, and score it; ``network`` is Keras's."""
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
    """The metrics of the songs of `ValidationSongs.score` that a training run logs.

    Returns:
        ``validation_SDR_<instrument>``, the median over the songs in dB, and their mean ``validation_SDR``, as far as
        there are scores.
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
    length = round(min(EXCERPT_S * config.sample_rate, len(mixture)))
    start = (len(mixture) - length) // 2

    def excerpts(stems: Stems) -> dict[str, Waveform]:
        # Copies, so that the whole song can be freed.
        parts = (stem[start : start + length].copy() for stem in stems)
        return dict(zip(config.instruments, parts, strict=True))

    return ScoredSong(
        name=name,
        sdr=dict(zip(config.instruments, _median_sdr(targets, estimates, config.sample_rate), strict=True)),
        start_s=start / config.sample_rate,
        mixture=mixture[start : start + length].copy(),
        estimates=excerpts(estimates),
        targets=excerpts(targets),
    )


def _median_sdr(targets: Stems, estimates: Stems, sample_rate: int) -> list[float]:
    if not np.isfinite(estimates).all():
        # The weights have become NaN: the next training step reports it, and where the last good ones are.
        return [math.nan] * len(targets)
    return [_finite_median(frames) for frames in sdr_frames(targets, estimates, sample_rate, sample_rate)]


def _finite_median(scores: Iterable[float]) -> float:
    """The median of the scores that are finite, as in the final scores; NaN if none is."""
    finite = [score for score in scores if math.isfinite(score)]
    return float(np.median(finite)) if finite else math.nan
