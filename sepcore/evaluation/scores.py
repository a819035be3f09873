"""The scores of a test set: summed up by stem in ``scores.json``, and by frame in a folder of any program."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from sepcore.errors import DatasetError
from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS
from sepcore.evaluation.track_scores import METRICS, MIXTURE_SDR, read_track_scores
from sepcore.system.foreign import check_texts, parse_json
from sepcore.system.printable import printable


@dataclass(frozen=True)
class StemScores:
    """Scores of one stem in dB; NaN if nothing could be scored.

    Attributes:
        sdr: Median over the tracks of the medians over their frames, as are ``isr``, ``sir`` and ``sar``.
        mixture_sdr: The ``sdr`` of the untouched mixture as an estimate of this stem.
        global_sdr: Mean over whole tracks, as in the Music Demixing Challenge.
        si_sdr: Scale-invariant SDR, mean over whole tracks.
        num_silent: Tracks in which the mixture has a score and the estimate, silent throughout, has none.
    """

    sdr: float
    isr: float
    sir: float
    sar: float
    mixture_sdr: float
    global_sdr: float = math.nan
    si_sdr: float = math.nan
    num_silent: int = 0

    def by_metric(self) -> dict[str, float]:
        """The scores by their names in ``scores.json``."""
        return {metric: getattr(self, field) for field, metric in _METRICS.items()}


_MEDIANS = dict(zip(("sdr", "isr", "sir", "sar", "mixture_sdr"), (*METRICS, MIXTURE_SDR), strict=True))
_METRICS = _MEDIANS | GLOBAL_METRICS
_NUM_SILENT = "num_silent"


@dataclass(frozen=True)
class MadeFrom:
    """What scores belong to: `Separator.fingerprint` of the model, and `songs_fingerprint` of all scored songs."""

    model: str
    songs: str


@dataclass(frozen=True)
class ScoreSummary:
    """A model's scores on a test set.

    Attributes:
        dataset: Name of the test set.
        num_tracks: Tracks scored.
        num_nan_frames: Frames without a score (silence), over all stems and tracks; medians leave them out.
        stems: Scores by stem, in the model's order.
        made_from: What they belong to; None if an earlier version wrote them.
    """

    dataset: str
    num_tracks: int
    num_nan_frames: int
    stems: Mapping[str, StemScores]
    made_from: MadeFrom | None = None

    @classmethod
    def from_tracks(cls, tracks: pd.DataFrame, *, dataset: str, made_from: MadeFrom | None = None) -> Self:
        """Sum up a table with the columns `track_scores.TRACK_COLUMNS`; DatasetError if it is empty."""
        if tracks.empty:
            raise DatasetError(f"{dataset}: no scored track", hint="Give a test set with at least one song.")
        by_stem = tracks.replace(np.inf, np.nan).groupby("target", sort=False)
        medians, means = by_stem[list(_MEDIANS.values())].median(), by_stem[list(GLOBAL_METRICS.values())].mean()
        table = medians.join(means)
        silent = (tracks["SDR"].isna() & tracks[MIXTURE_SDR].notna()).groupby(tracks["target"]).sum()
        stems = {
            str(stem): StemScores(
                **{field: float(table.loc[stem, key]) for field, key in _METRICS.items()}, num_silent=int(silent[stem])
            )
            for stem in table.index
        }
        num_tracks, num_nan_frames = int(tracks["track"].nunique()), int(tracks["num_nan_frames"].sum())
        return cls(dataset, num_tracks, num_nan_frames, stems, made_from)

    @property
    def mean_sdr(self) -> float:
        """Mean of the stems' median SDRs in dB, over the stems that have one."""
        medians = [scores.sdr for scores in self.stems.values() if not math.isnan(scores.sdr)]
        return sum(medians) / len(medians) if medians else math.nan

    def to_json(self) -> str:
        """The text of ``scores.json``: museval's names of the metrics, null for a missing score."""
        content = {
            "dataset": self.dataset,
            "num_tracks": self.num_tracks,
            "num_nan_frames": self.num_nan_frames,
            **({"made_from": vars(self.made_from)} if self.made_from else {}),
            "stems": {
                name: {key: None if math.isnan(score) else score for key, score in scores.by_metric().items()}
                | ({_NUM_SILENT: scores.num_silent} if scores.num_silent else {})
                for name, scores in self.stems.items()
            },
        }
        return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "scores.json") -> Self:
        """The summary that `to_json` wrote; DatasetError about ``origin``, the file, if ``text`` is something else."""
        try:
            # Stricter rules have read a release's before. The folder of a user's test set may have any name.
            content = parse_json(text, any_text=True)
            check_texts(content["stems"])
            stems = {
                str(name): StemScores(
                    **{
                        field: math.nan if scores[key] is None else float(scores[key])
                        for field, key in _METRICS.items()
                        if key in scores or field in _MEDIANS
                    },
                    num_silent=int(scores.get(_NUM_SILENT, 0)),
                )
                for name, scores in content["stems"].items()
            }
            counts = int(content["num_tracks"]), int(content["num_nan_frames"])
            return cls(printable(str(content["dataset"])), *counts, stems, read_made_from(content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(
                f"not a score file of this project ({error!r})", path=origin, hint="Evaluate again."
            ) from error


def read_made_from(content: Mapping[str, Any]) -> MadeFrom | None:
    """What the scores of a ``scores.json`` belong to; KeyError or TypeError if its content is damaged."""
    made_from = content.get("made_from")
    return None if made_from is None else MadeFrom(str(made_from["model"]), str(made_from["songs"]))


_FRAME_KEYS = {"track", "target", "time_s"}
_SUMMARY = "scores.json"


@dataclass(frozen=True, eq=False)
class ScoreFolder:
    """The scores in a folder, and the test set's name and what the scores belong to, if the folder has them.

    ``frames`` has a row for each track, stem and frame: ``track``, ``target``, ``time_s`` and a column for each metric.
    """

    path: Path
    frames: pd.DataFrame
    dataset: str | None
    made_from: MadeFrom | None = None


def read_score_folder(path: Path) -> ScoreFolder:
    """Read ``frames.parquet``, otherwise all ``test/<track>.json``, otherwise all ``<track>.json``.

    DatasetError if there is no such folder, no score in it, or a file cannot be read.
    """
    if not path.is_dir():
        raise DatasetError(
            "no such folder", path=path, hint="Give one written by `python -m flows.evaluate -o`, or by museval."
        )
    table = path / "frames.parquet"
    if table.is_file():
        frames = _read_table(table)
    elif files := _track_files(path):
        frames = pd.concat([read_track_scores(file).frames for file in files], ignore_index=True)
    else:
        raise DatasetError(
            "no scores in it: neither frames.parquet nor test/<track>.json nor <track>.json",
            path=path,
            hint=f"Score a model into it with `python -m flows.evaluate -p MODEL … -o {path}`.",
        )
    return ScoreFolder(path, frames, *_summary(path / _SUMMARY))


def has_scores(path: Path) -> bool:
    """Whether `read_score_folder` would find a file to read."""
    return (path / "frames.parquet").is_file() or bool(_track_files(path))


def _track_files(path: Path) -> list[Path]:
    in_subset = sorted((path / "test").glob("*.json"))
    return in_subset or [file for file in sorted(path.glob("*.json")) if file.name != _SUMMARY]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        frames = pd.read_parquet(path)
    except ValueError as error:  # pyarrow's error for a damaged file is one
        raise DatasetError(f"cannot be read ({error})", path=path, hint="Delete it and evaluate again.") from error
    missing = sorted(_FRAME_KEYS - set(frames.columns))
    if missing:
        raise DatasetError(
            f"is not a table of frames: no column {', '.join(missing)}", path=path, hint="Evaluate again."
        )
    return frames


def _summary(path: Path) -> tuple[str | None, MadeFrom | None]:
    """The test set's name and what the scores belong to, from a ``scores.json`` of any version or program."""
    try:
        content = json.loads(path.read_text("utf-8"))
        name = content.get("dataset")
        return (name if isinstance(name, str) else None), read_made_from(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None
