"""The tables of a report: medians, models beside each other, tracks, and what failed.

Scores that are NaN or infinite are left out of every median and mean.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS
from sepcore.evaluation.report.evaluation_report import NOT_COMPARABLE, PUBLISHED, EvaluationReport
from sepcore.page.document import Cell, Column, Table

if TYPE_CHECKING:
    import pandas as pd

# The names of the baselines that evaluations score, as readers know them.
BASELINE_LABELS = {"mixture": "untouched mixture", "irm": "ideal ratio mask (oracle)"}
_METRICS = {
    "SDR": "SDR",
    "ISR": "ISR",
    "SIR": "SIR",
    "SAR": "SAR",
    "global_SDR": "global SDR (MDX)",
    "SI_SDR": "SI\u2011SDR",  # with a hyphen that no line is broken at
    "mixture_SDR": "mixture's SDR",
}


def medians_table(evaluation: EvaluationReport) -> Table:
    """A row a stem, and the mean of the medians below: every metric, and what the model gains over doing nothing."""
    rows: dict[str, dict[str, float]] = {
        stem: {
            metric: (stem_mean if metric in GLOBAL_METRICS.values() else stem_median)(evaluation.tracks, stem, metric)
            for metric in _METRICS
        }
        for stem in evaluation.instruments
    }
    for scores in rows.values():
        scores["gain"] = scores["SDR"] - scores["mixture_SDR"]
    if len(rows) > 1:
        columns = [*_METRICS, "gain"]
        rows["mean of the stems"] = {
            column: finite_mean(scores[column] for scores in rows.values()) for column in columns
        }
    num_tracks = evaluation.tracks["track"].nunique()
    return Table(
        [Column("stem", is_number=False), *(Column(name) for name in _METRICS.values()), Column("gain")],
        [[Cell(stem), *map(_score, scores.values())] for stem, scores in rows.items()],
        caption=f"Medians over {_tracks(num_tracks)}, of global SDR and SI-SDR means, in dB. Gain: SDR above that of "
        "the untouched mixture.",
        emphasized=[len(evaluation.instruments)],
    )


def models_table(evaluation: EvaluationReport) -> Table:
    """This model among baselines and published ones by median SDR, the best mean first."""
    stems, here = evaluation.instruments, evaluation.dataset
    baselines = evaluation.baselines_beside.items()

    def row(name: str, sdr: Mapping[str, float], scored_on: str = here) -> tuple[float, list[Cell]]:
        scores = [sdr.get(stem, math.nan) for stem in stems]
        mean = sum(scores) / len(stems)  # one over fewer stems than this model has would not be comparable
        return mean, [Cell(name), *map(_score, [*scores, mean]), Cell(scored_on)]

    this = row(evaluation.model, _medians(evaluation.tracks, stems))
    models = [
        this,
        *(row(BASELINE_LABELS.get(name, name), _medians(table, stems)) for name, table in baselines),
        *(
            row(f"{model.name} [{number}]", model.sdr, "MUSDB18's test set")
            for number, model in enumerate(PUBLISHED, start=1)
            if set(stems) & set(model.sdr)
        ),
    ]
    models.sort(key=lambda model: -math.inf if math.isnan(model[0]) else model[0], reverse=True)
    comparable = "" if evaluation.is_musdb18_test else f"; {here} is {NOT_COMPARABLE}"
    return Table(
        [Column("model", is_number=False), *map(Column, stems), Column("mean"), Column("scored on", is_number=False)],
        [cells for _, cells in models],
        caption=f"Median SDR in dB{comparable}.",
        emphasized=[models.index(this)],
    )


def tracks_table(evaluation: EvaluationReport, anchors: Mapping[str, str]) -> Table:
    """A row a track, the worst mean first; sortable.

    Args:
        evaluation: What was scored.
        anchors: The ``id`` of a track's player, by track.
    """
    stems = evaluation.instruments
    counts = evaluation.tracks.groupby("track", sort=False)[["num_nan_frames", "num_frames"]].sum()
    rows = [(finite_mean(scores.values()), track, scores) for track, scores in track_scores(evaluation.tracks).items()]
    rows.sort(key=lambda row: (math.inf if math.isnan(row[0]) else row[0], row[1]))
    return Table(
        [Column("track", is_number=False), *map(Column, stems), Column("mean"), Column("frames without a score")],
        [
            [
                Cell(track, track, f"#{anchors[track]}" if track in anchors else ""),
                *(_score(scores.get(stem, math.nan)) for stem in stems),
                _score(mean),
                _left_out(*counts.loc[track]),
            ]
            for mean, track, scores in rows
        ],
        caption="Median SDR of each track's frames in dB, the worst track first."
        + (" The linked tracks can be heard below." if anchors else ""),
        sorted_by=len(stems) + 1,
    )


def failed_table(evaluation: EvaluationReport) -> Table:
    """The tracks without a score, and why."""
    return Table(
        [Column("track", is_number=False), Column("reason", is_number=False)],
        [[Cell(track), Cell(reason)] for track, reason in evaluation.failed.items()],
        caption=f"{_tracks(len(evaluation.failed))} without a score; the others are not touched by it.",
    )


def _tracks(number: int) -> str:
    return "1 track" if number == 1 else f"{number} tracks"


def _score(score: float) -> Cell:
    return Cell(decibels(score), score if math.isfinite(score) else None)


def _left_out(num_nan_frames: float, num_frames: float) -> Cell:
    return Cell(f"{int(num_nan_frames)} of {int(num_frames)}", int(num_nan_frames))


def _medians(tracks: "pd.DataFrame", stems: Sequence[str]) -> dict[str, float]:
    return {stem: stem_median(tracks, stem) for stem in stems}


def stem_scores(tracks: "pd.DataFrame", stem: str, metric: str = "SDR") -> NDArray[np.float64]:
    """The tracks' scores of a stem: those that are finite numbers, in dB, in the table's order; perhaps none."""
    scores = tracks.loc[tracks["target"] == stem, metric].to_numpy(np.float64)
    finite: NDArray[np.float64] = scores[np.isfinite(scores)]
    return finite


def stem_median(tracks: "pd.DataFrame", stem: str, metric: str = "SDR") -> float:
    """Median of a stem over the tracks, in dB; NaN where no track has a score."""
    scores = stem_scores(tracks, stem, metric)
    return float(np.median(scores)) if len(scores) else float("nan")


def stem_mean(tracks: "pd.DataFrame", stem: str, metric: str) -> float:
    """Mean of a stem over the tracks, in dB; NaN where no track has a score."""
    return finite_mean(stem_scores(tracks, stem, metric))


def finite_mean(scores: Iterable[float]) -> float:
    """Mean of the finite ones; NaN where none is."""
    finite = [score for score in scores if np.isfinite(score)]
    return float(np.mean(finite)) if finite else float("nan")


def track_scores(tracks: "pd.DataFrame") -> Mapping[str, Mapping[str, float]]:
    """The median SDR of each stem of each track, in dB, as the table has it."""
    scores: dict[str, dict[str, float]] = {}
    for track, stem, sdr in zip(tracks["track"], tracks["target"], tracks["SDR"], strict=True):
        scores.setdefault(str(track), {})[str(stem)] = float(sdr)
    return scores


def decibels(score: float) -> str:
    """A score as the report writes it: two decimals with a true minus; a dash for what is no number."""
    return f"{round(score, 2) + 0.0:.2f}".replace("-", "−") if math.isfinite(score) else "–"
