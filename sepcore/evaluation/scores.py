"""The scores of a model on a test set: medians over frames and tracks, and their ``scores.json``."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from sepcore.errors import DatasetError
from sepcore.evaluation.track_scores import METRICS, MIXTURE_SDR


@dataclass(frozen=True)
class StemScores:
    """Medians of one stem in dB: over each track's frames, then over the tracks. NaN where nothing could be scored."""

    sdr: float
    isr: float
    sir: float
    sar: float
    mixture_sdr: float
    """SDR of the untouched mixture taken for this stem."""


_KEYS = dict(zip(("sdr", "isr", "sir", "sar", "mixture_sdr"), (*METRICS, MIXTURE_SDR), strict=True))


@dataclass(frozen=True)
class ScoreSummary:
    """What a model reaches on a test set.

    Attributes:
        dataset: Name of the test set.
        num_tracks: Tracks scored.
        num_nan_frames: Frames of a stem without a score (silence), over all stems and tracks; medians leave them out.
        stems: Scores by stem, in the model's order.
    """

    dataset: str
    num_tracks: int
    num_nan_frames: int
    stems: Mapping[str, StemScores]

    @classmethod
    def from_frames(cls, frames: pd.DataFrame, *, dataset: str) -> Self:
        """The medians of a table of frames with the columns `track_scores.COLUMNS`.

        Raises:
            DatasetError: if the table is empty.
        """
        if frames.empty:
            raise DatasetError(f"{dataset}: no scored track; give a test set with at least one song.")
        metrics = list(_KEYS.values())
        by_track = frames.groupby(["target", "track"], sort=False)[metrics].median()
        medians = by_track.groupby("target", sort=False).median()
        stems = {
            str(target): StemScores(**{field: float(medians.loc[target, key]) for field, key in _KEYS.items()})
            for target in medians.index
        }
        return cls(dataset, int(frames["track"].nunique()), int(frames["SDR"].isna().sum()), stems)

    def to_json(self) -> str:
        """The text of ``scores.json``: museval's names of the metrics, null for a score that there is none of."""
        content = {
            "dataset": self.dataset,
            "num_tracks": self.num_tracks,
            "num_nan_frames": self.num_nan_frames,
            "stems": {
                name: {key: _null_for_nan(getattr(scores, field)) for field, key in _KEYS.items()}
                for name, scores in self.stems.items()
            },
        }
        return json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, origin: str = "scores.json") -> Self:
        """The summary that `to_json` wrote.

        Args:
            text: Content of the file.
            origin: The name to call it by in messages.

        Raises:
            DatasetError: one line, if it is not such a file.
        """
        try:
            content = json.loads(text)
            stems = {
                str(name): StemScores(**{field: _nan_for_null(scores[key]) for field, key in _KEYS.items()})
                for name, scores in content["stems"].items()
            }
            return cls(str(content["dataset"]), int(content["num_tracks"]), int(content["num_nan_frames"]), stems)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{origin}: not a score file of this project ({error!r}); evaluate again.") from error


def _null_for_nan(score: float) -> float | None:
    return None if math.isnan(score) else score


def _nan_for_null(score: Any) -> float:
    return math.nan if score is None else float(score)
