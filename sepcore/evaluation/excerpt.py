"""Excerpts of scored tracks for the report: which tracks, which seconds, and their files in a folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from sepcore.evaluation.estimates import Estimates
from sepcore.evaluation.excerpt_media import picture_top_hz, save_excerpt_picture, write_browser_audio
from sepcore.evaluation.track_evaluation import estimated_track, track_made_from
from sepcore.system.atomic import atomic_folder, write_text
from sepcore.training.run_folder import MADE_FROM

Waveform = NDArray[np.float32]

EXCERPT_S = 15.0
_FILE = "excerpt.json"
_STEM_FILES = ("estimate", "reference", "picture")


@dataclass(frozen=True)
class ExcerptStem:
    """A stem, of any name: its audio, and a PNG of the estimate above the reference over exactly the excerpt's time."""

    name: str
    estimate: Path
    reference: Path
    picture: Path


@dataclass(frozen=True)
class Excerpt:
    """A few seconds of a track of any name; ``top_hz`` is the frequency at the upper edge of its pictures."""

    track: str
    start_s: float
    duration_s: float
    top_hz: float
    mixture: Path
    stems: tuple[ExcerptStem, ...]


def tracks_to_hear(tracks: pd.DataFrame, number: int) -> list[str]:
    """Tracks from the worst to the best, evenly by rank of their stems' mean SDR; fewer if fewer have a score.

    ``tracks`` has the columns `track_scores.TRACK_COLUMNS`.
    """
    ranked = tracks.groupby("track", sort=False)["SDR"].mean().dropna().sort_values(kind="stable").index
    places = np.linspace(0, len(ranked) - 1, min(number, len(ranked))).round().astype(int)
    return [str(ranked[place]) for place in places]


def excerpt_start_s(frames: pd.DataFrame) -> float:
    """Where the 15 s of a track with the most scores start; if several have as many, those nearest to its middle.

    ``frames`` are one track's, with the columns `track_scores.COLUMNS`.
    """
    scored = frames.groupby("time_s")["SDR"].count()
    times = scored.index.to_numpy(float)
    last = max(times[-1] - EXCERPT_S + 1, 0.0) if len(times) else 0.0
    starts = times[times <= last]
    if not starts.size:
        return 0.0
    within = (times >= starts[:, None]) & (times < starts[:, None] + EXCERPT_S)
    order = np.lexsort((np.abs(starts - last / 2), -(within * scored.to_numpy()).sum(axis=1)))
    return float(starts[order[0]])


def excerpt_of_track(row: TrackRow, estimates: Estimates, folder: Path, start_s: float) -> Excerpt:
    """Estimate a track once more and keep `EXCERPT_S` of it, unless the same excerpt is already there.

    It starts at ``start_s`` and goes to ``excerpts/<track>`` in the folder of the evaluation.

    Raises:
        AudioDecodeError: a recording that cannot be read.
        DatasetError: stems that do not fit each other.
        AudioEncodeError: the excerpt cannot be written.
    """
    place, config = folder / "excerpts" / row.name, estimates.config
    marker = folder / MADE_FROM / "excerpts" / f"{row.name}.json"
    pictured = {"start_s": start_s, "stft": [config.frame_length, config.hop_length]}
    made_from = json.dumps(track_made_from(row, estimates) | pictured)
    if place.is_dir() and marker.is_file() and marker.read_text("utf-8") == made_from:
        return read_excerpt(place)
    with estimated_track(row, estimates, folder) as track:
        start = round(start_s * config.sample_rate)
        stop = min(start + round(EXCERPT_S * config.sample_rate), track.mixture.shape[1])
        mixture, *stems = (
            np.asarray(signals.read(start, stop), np.float32)
            for signals in (track.mixture, track.references, track.estimates)
        )
    references, estimated = (dict(zip(config.instruments, part, strict=True)) for part in stems)
    marker.unlink(missing_ok=True)  # if killed from here on, nobody takes the excerpt for that of the old estimates
    excerpt = write_excerpt(
        place,
        track=row.name,
        start_s=start_s,
        mixture=mixture[0],
        references=references,
        estimates=estimated,
        config=config,
    )
    write_text(marker, made_from)
    return excerpt


def write_excerpt(
    folder: Path,
    *,
    track: str,
    start_s: float,
    mixture: Waveform,
    references: Mapping[str, Waveform],
    estimates: Mapping[str, Waveform],
    config: ModelConfig,
) -> Excerpt:
    """Write an excerpt to a folder of its own, whole or not at all; it replaces an older one.

    Signals are float32 ``(samples, channels)`` in [-1, 1] at the config's rate, all of one length, at least one sample.
    They are shown in the order of ``estimates``; files are numbered, since names of stems and tracks may be any text.
    Errors are as in `write_browser_audio`.
    """
    with atomic_folder(folder, _own_files) as temporary:
        (mixture_file,) = write_browser_audio({"mixture": mixture}, temporary, config)
        stems = []
        for number, name in enumerate(estimates, start=1):
            signals = {f"{number:02d}_estimate": estimates[name], f"{number:02d}_reference": references[name]}
            picture = temporary / f"{number:02d}.png"
            files = *write_browser_audio(signals, temporary, config), picture
            save_excerpt_picture(picture, list(signals.values()), config)
            stems.append({"name": name} | {key: file.name for key, file in zip(_STEM_FILES, files, strict=True)})
        content = {
            "track": track,
            "start_s": start_s,
            "duration_s": len(mixture) / config.sample_rate,
            "top_hz": picture_top_hz(config),
            "mixture": mixture_file.name,
            "stems": stems,
        }
        write_text(temporary / _FILE, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return read_excerpt(folder)


def _own_files(folder: Path) -> set[str]:
    """The files of the excerpt in a folder, as far as they are there."""
    try:
        content = json.loads((folder / _FILE).read_bytes())
        stems = [stem[key] for stem in content["stems"] for key in _STEM_FILES]
        return {_FILE, str(content["mixture"]), *map(str, stems)}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def read_excerpt(folder: Path) -> Excerpt:
    """The excerpt that `write_excerpt` left in a folder; DatasetError if there is none, or a file of it is missing."""
    try:
        content = json.loads((folder / _FILE).read_text("utf-8"))
        stems = (
            ExcerptStem(str(stem["name"]), *(_file(folder, stem[key]) for key in _STEM_FILES))
            for stem in content["stems"]
        )
        return Excerpt(
            track=str(content["track"]),
            start_s=float(content["start_s"]),
            duration_s=float(content["duration_s"]),
            top_hz=float(content["top_hz"]),
            mixture=_file(folder, content["mixture"]),
            stems=tuple(stems),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"no excerpt of a track ({error!r})", path=folder, hint="Evaluate again to write a new one."
        ) from error


def _file(folder: Path, name: Any) -> Path:
    # The page embeds the whole file: only files in the folder, or a report could be made to show any file.
    if Path(name).name != name or not (folder / name).is_file():
        raise ValueError(f"{name} is no file of it")
    return folder / str(name)
