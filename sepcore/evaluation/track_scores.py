"""The scores of one track: computed, kept as museval's own JSON, read back as a table of frames."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sepcore.atomic import atomic_path, write_text
from sepcore.errors import DatasetError
from sepcore.evaluation.bsseval import ScoringEngine, bss_eval
from sepcore.evaluation.sdr import sdr_frames

METRICS = ("SDR", "ISR", "SIR", "SAR")
# The SDR of the untouched mixture taken for the stem: what doing nothing scores. Beside museval's metrics in each frame
# of the JSON, where museval's own readers pass over it.
MIXTURE_SDR = "mixture_SDR"
COLUMNS = ("track", "target", "time_s", *METRICS, MIXTURE_SDR)

Waveform = NDArray[np.floating[Any]]


def score_track(
    track: str,
    references: Mapping[str, Waveform],
    estimates: Mapping[str, Waveform],
    mixture: Waveform,
    *,
    sample_rate: int,
    window_s: float = 1.0,
    engine: ScoringEngine = "fast",
) -> pd.DataFrame:
    """Score the estimates of one track, and the untouched mixture as an estimate of every stem.

    Args:
        track: The track's name.
        references: The true stems by name, each ``(samples, channels)``, of one length.
        estimates: An estimate for each of them; others are left out.
        mixture: The track's mixture, ``(samples, channels)``.
        sample_rate: Samples a second of all of them.
        window_s: Length of a frame in seconds; frames do not overlap.
        engine: As `bss_eval` takes it.

    Returns:
        A row for each stem and frame, with the columns `COLUMNS`: scores in dB, NaN where there is none (silence) and,
        as in museval's files, for an infinite score.

    Raises:
        DatasetError: one line naming the track, if an estimate is missing or the signals do not fit each other.
    """
    missing = sorted(set(references) - set(estimates))
    if missing:
        raise DatasetError(
            f"{track}: no estimate of {', '.join(missing)}; a model is scored on the stems that it makes."
        )
    window = round(window_s * sample_rate)
    try:
        true, estimated = np.stack(list(references.values())), np.stack([estimates[name] for name in references])
        scores = np.stack(bss_eval(true, estimated, window, window, engine))
        untouched = sdr_frames(true, np.stack([mixture] * len(true)), window, window)
    except ValueError as error:
        raise DatasetError(f"{track}: {error}") from error
    scores[~np.isfinite(scores)] = np.nan
    untouched[~np.isfinite(untouched)] = np.nan
    rows = [
        (track, target, frame * window_s, *scores[:, stem, frame], untouched[stem, frame])
        for stem, target in enumerate(references)
        for frame in range(scores.shape[2])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def track_scores_path(folder: Path, track: str) -> Path:
    """Where the scores of a track stand: museval's layout, its one subset ``test``."""
    if not track or "/" in track or "\\" in track:
        raise DatasetError(f"{track!r} cannot be the name of a scored track: it becomes a file name; use no slashes.")
    return folder / "test" / f"{track}.json"


def save_track_scores(frames: pd.DataFrame, folder: Path, *, window_s: float = 1.0) -> Path:
    """Write one track's frames as museval's JSON, which its ``EvalStore`` and ``MethodStore`` read.

    Args:
        frames: As `score_track` returns them.
        folder: Of the evaluation; the file is ``<folder>/test/<track>.json``.
        window_s: Length of a frame in seconds.
    """
    from museval.aggregate import TrackStore

    (track,) = frames["track"].unique()
    path = track_scores_path(folder, track)
    store = TrackStore(win=window_s, hop=window_s, track_name=track)
    for target, rows in frames.groupby("target", sort=False):
        store.add_target(target_name=target, values={metric: rows[metric].tolist() for metric in METRICS})
        for frame, untouched in zip(store.scores["targets"][-1]["frames"], rows[MIXTURE_SDR], strict=True):
            frame["metrics"][MIXTURE_SDR] = round(float(untouched), 5)
    store.validate()
    write_text(path, store.json)
    return path


def read_track_scores(path: Path) -> pd.DataFrame:
    """The frames of a JSON that `save_track_scores` or museval wrote, with the columns `COLUMNS`.

    Raises:
        DatasetError: if the file is not museval's JSON.
    """
    try:
        rows = [
            (
                path.stem,
                target["name"],
                float(frame["time"]),
                *(float(frame["metrics"][metric]) for metric in METRICS),
                float(frame["metrics"].get(MIXTURE_SDR, np.nan)),
            )
            for target in json.loads(path.read_text("utf-8"))["targets"]
            for frame in target["frames"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path}: not a museval score file ({error!r}); delete it and evaluate again.") from error
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_frames(tables: Iterable[pd.DataFrame], path: Path) -> pd.DataFrame:
    """Write the frames of many tracks as one tidy Parquet file, whole or not at all; returns the table."""
    frames = pd.concat(list(tables), ignore_index=True)
    with atomic_path(path) as temporary:
        frames.to_parquet(temporary, index=False)
    return frames
