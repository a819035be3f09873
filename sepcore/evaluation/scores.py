"""The scores of a model on a test set, by stem, and their ``scores.json``."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd

from sepcore.errors import DatasetError
from sepcore.evaluation.global_scores import GLOBAL_METRICS
from sepcore.evaluation.track_scores import METRICS, MIXTURE_SDR


@dataclass(frozen=True)
class StemScores:
    """Scores of one stem in dB; NaN where nothing could be scored.

    Attributes:
        sdr: Median over each track's frames, then over the tracks; the next three alike.
        isr: See ``sdr``.
        sir: See ``sdr``.
        sar: See ``sdr``.
        mixture_sdr: SDR of the untouched mixture taken for this stem, alike.
        global_sdr: Of whole tracks, the mean over the tracks, as the Music Demixing Challenge has it.
        si_sdr: Scale-invariant SDR of whole tracks, the mean over the tracks.
    """

    sdr: float
    isr: float
    sir: float
    sar: float
    mixture_sdr: float
    global_sdr: float = math.nan
    si_sdr: float = math.nan

    def by_metric(self) -> dict[str, float]:
        """The scores by their names in ``scores.json``: museval's, ``mixture_SDR`` and those of `GLOBAL_METRICS`."""
        return {metric: getattr(self, field) for field, metric in _METRICS.items()}


_MEDIANS = dict(zip(("sdr", "isr", "sir", "sar", "mixture_sdr"), (*METRICS, MIXTURE_SDR), strict=True))
_METRICS = _MEDIANS | GLOBAL_METRICS


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
    def from_tracks(cls, tracks: pd.DataFrame, *, dataset: str) -> Self:
        """The scores over the tracks of a table with the columns `track_table.COLUMNS`.

        Raises:
            DatasetError: if the table is empty.
        """
        if tracks.empty:
            raise DatasetError(f"{dataset}: no scored track; give a test set with at least one song.")
        by_stem = tracks.groupby("target", sort=False)
        medians, means = by_stem[list(_MEDIANS.values())].median(), by_stem[list(GLOBAL_METRICS.values())].mean()
        table = medians.join(means)
        stems = {
            str(stem): StemScores(**{field: float(table.loc[stem, key]) for field, key in _METRICS.items()})
            for stem in table.index
        }
        return cls(dataset, int(tracks["track"].nunique()), int(tracks["num_nan_frames"].sum()), stems)

    @property
    def mean_sdr(self) -> float:
        """Mean of the stems' median SDRs in dB, of those that have one."""
        medians = [scores.sdr for scores in self.stems.values() if not math.isnan(scores.sdr)]
        return sum(medians) / len(medians) if medians else math.nan

    def to_json(self) -> str:
        """The text of ``scores.json``: museval's names of the metrics, null for a score that there is none of."""
        content = {
            "dataset": self.dataset,
            "num_tracks": self.num_tracks,
            "num_nan_frames": self.num_nan_frames,
            "stems": {
                name: {metric: _null_for_nan(score) for metric, score in scores.by_metric().items()}
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
                str(name): StemScores(
                    **{
                        field: _nan_for_null(scores[key])
                        for field, key in _METRICS.items()
                        if key in scores or field in _MEDIANS
                    }
                )
                for name, scores in content["stems"].items()
            }
            return cls(str(content["dataset"]), int(content["num_tracks"]), int(content["num_nan_frames"]), stems)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{origin}: not a score file of this project ({error!r}); evaluate again.") from error


def _null_for_nan(score: float) -> float | None:
    return None if math.isnan(score) else score


def _nan_for_null(score: Any) -> float:
    return math.nan if score is None else float(score)
