"""The scores of tracks: computed, kept as museval's JSON, read back and summed up as tables."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sepcore.errors import DatasetError
from sepcore.evaluation.bsseval.bss_eval import bss_eval_signals
from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS, global_scores, sdr_of_windows
from sepcore.evaluation.bsseval.signals import ChosenStems, Signals, silent_throughout, window_slices
from sepcore.evaluation.choices import ScoringEngine
from sepcore.system.atomic import atomic_path, write_text

METRICS = ("SDR", "ISR", "SIR", "SAR")
# The SDR of the untouched mixture as an estimate of the stem: what doing nothing scores. Museval's readers ignore it
# beside their metrics in each frame of the JSON.
MIXTURE_SDR = "mixture_SDR"
_FRAME_METRICS = (*METRICS, MIXTURE_SDR)
COLUMNS = ("track", "target", "time_s", *_FRAME_METRICS)
TOTAL_COLUMNS = ("track", "target", *GLOBAL_METRICS.values())
TRACK_COLUMNS = ("track", "target", *_FRAME_METRICS, *GLOBAL_METRICS.values(), "num_frames", "num_nan_frames")
# Of a target in the JSON: its scores over the whole track. Museval's readers ignore it too.
_WHOLE_TRACK = "track"
# Of a frame in the JSON: its infinite metrics, if any, for which museval writes NaN as for missing ones.
_PERFECT = "perfect"
# Frames do not overlap.
_WINDOW_S = 1.0


@dataclass(frozen=True, eq=False)
class TrackScores:
    """Scores of one or more tracks in dB, NaN where there is none (silence).

    Attributes:
        frames: A row for each stem and frame of 1 s, with the columns `COLUMNS`; infinite for a perfect estimate.
        totals: A row for each stem, over the whole track, with the columns `TOTAL_COLUMNS`.
    """

    frames: pd.DataFrame
    totals: pd.DataFrame


def score_track(
    track: str,
    stems: Sequence[str],
    references: Signals,
    estimates: Signals,
    mixture: Signals,
    *,
    sample_rate: int,
    engine: ScoringEngine = "fast",
) -> TrackScores:
    """Score the estimates of one track, and the untouched mixture as an estimate of every stem; see `bss_eval`.

    ``references`` and ``estimates`` are ``(stems, samples, channels)``, the mixture is one stem. DatasetError naming
    the track if a sample is NaN.
    """
    window = round(_WINDOW_S * sample_rate)
    untouched = ChosenStems(mixture, np.zeros(len(stems), np.intp))
    try:
        scores = bss_eval_signals(references, estimates, window, window, engine)
        silent = silent_throughout(references, "references"), silent_throughout(untouched, "mixture")
        doing_nothing = sdr_of_windows(references, untouched, window_slices(mixture.shape[1], window, window), *silent)
        totals = global_scores(references, estimates)
    except ValueError as error:
        problem, _, hint = str(error).partition(". ")
        raise DatasetError(f"{track}: {problem}", hint=hint) from error
    rows = [
        (track, stem, frame * _WINDOW_S, *scores[:, index, frame], doing_nothing[index, frame])
        for index, stem in enumerate(stems)
        for frame in range(scores.shape[2])
    ]
    columns = (getattr(totals, field) for field in GLOBAL_METRICS)
    whole = [(track, *row) for row in zip(stems, *columns, strict=True)]
    return TrackScores(
        pd.DataFrame(rows, columns=list(COLUMNS)).replace(-np.inf, np.nan),
        pd.DataFrame(whole, columns=list(TOTAL_COLUMNS)).replace([np.inf, -np.inf], np.nan),
    )


def track_scores_path(folder: Path, track: str) -> Path:
    """The file of a track's scores: museval's layout, with ``test`` as its only subset."""
    if not track or "/" in track or "\\" in track:
        raise DatasetError(
            f"{track!r} cannot be the name of a scored track, since it becomes a file name", hint="Use no slashes."
        )
    return folder / "test" / f"{track}.json"


def save_track_scores(scores: TrackScores, folder: Path) -> Path:
    """Write one track's scores to `track_scores_path` as museval's JSON, for its ``EvalStore`` and ``MethodStore``."""
    from museval.aggregate import TrackStore

    (track,) = scores.frames["track"].unique()
    path = track_scores_path(folder, track)
    store = TrackStore(win=_WINDOW_S, hop=_WINDOW_S, track_name=track)
    totals = scores.totals.set_index("target")[list(GLOBAL_METRICS.values())].to_dict("index")
    for target, rows in scores.frames.groupby("target", sort=False):
        store.add_target(target_name=target, values={metric: rows[metric].tolist() for metric in METRICS})
        content = store.scores["targets"][-1]
        content[_WHOLE_TRACK] = {metric: round(float(score), 5) for metric, score in totals[target].items()}
        for frame, row in zip(content["frames"], rows.to_dict("records"), strict=True):
            untouched = float(row[MIXTURE_SDR])
            frame["metrics"][MIXTURE_SDR] = np.nan if np.isinf(untouched) else round(untouched, 5)
            if perfect := [metric for metric in _FRAME_METRICS if row[metric] == np.inf]:
                frame[_PERFECT] = perfect
    store.validate()
    write_text(path, store.json)
    return path


def read_track_scores(path: Path) -> TrackScores:
    """The scores in a JSON of `save_track_scores` or museval; DatasetError if it is something else.

    Scores that museval does not write are NaN, and so are its perfect frames, like frames without a score.
    """
    try:
        targets = json.loads(path.read_text("utf-8"))["targets"]
        rows = [
            (path.stem, target["name"], float(frame["time"]), *_frame_scores(frame))
            for target in targets
            for frame in target["frames"]
        ]
        whole = [
            (
                path.stem,
                target["name"],
                *(float(target.get(_WHOLE_TRACK, {}).get(metric, np.nan)) for metric in GLOBAL_METRICS.values()),
            )
            for target in targets
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"not a museval score file ({error!r})", path=path, hint="Delete it and evaluate again."
        ) from error
    return TrackScores(pd.DataFrame(rows, columns=list(COLUMNS)), pd.DataFrame(whole, columns=list(TOTAL_COLUMNS)))


def _frame_scores(frame: dict[str, Any]) -> Iterator[float]:
    metrics, perfect = {MIXTURE_SDR: np.nan, **frame["metrics"]}, frame.get(_PERFECT, ())
    for metric in _FRAME_METRICS:
        yield np.inf if metric in perfect else float(metrics[metric])


def track_table(scores: TrackScores) -> pd.DataFrame:
    """A row for each track and stem, with the columns `TRACK_COLUMNS`, in the order of ``scores.totals``.

    Returns:
        In dB, NaN if there is none: medians over a track's frames of museval's metrics and of the untouched mixture's
        SDR, and the scores of the whole track. Medians leave out frames without a score and, as in museval, perfect
        ones; they are infinite if all scored frames are perfect. ``num_frames`` counts the frames of the stem,
        ``num_nan_frames`` its frames without an SDR.
    """
    by_stem = scores.frames.groupby(["track", "target"], sort=False)
    columns = list(_FRAME_METRICS)
    finite = scores.frames.assign(**scores.frames[columns].replace(np.inf, np.nan))
    medians = finite.groupby(["track", "target"], sort=False)[columns].median()
    medians = medians.mask(medians.isna() & (by_stem[columns].max() == np.inf), np.inf)
    counts = by_stem["SDR"].agg(num_frames="size", num_nan_frames=lambda sdr: int(sdr.isna().sum()))
    totals = scores.totals.set_index(["track", "target"])
    return totals.join(medians).join(counts).reset_index()[list(TRACK_COLUMNS)]


def write_table(tables: Iterable[pd.DataFrame], path: Path) -> pd.DataFrame:
    """Write the tables of many tracks as one tidy Parquet file, whole or not at all; returns the table."""
    table = pd.concat(list(tables), ignore_index=True)
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False)
    return table
