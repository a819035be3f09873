"""The tables of a report: medians, models, tracks, failures. Medians and means leave out NaN and infinite scores."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.sdr import GLOBAL_METRICS
from sepcore.evaluation.report.evaluation_report import NOT_COMPARABLE, PUBLISHED, EvaluationReport
from sepcore.page.document import Cell, Column, Table

_METRICS = {
    "SDR": "SDR",
    "ISR": "ISR",
    "SIR": "SIR",
    "SAR": "SAR",
    "global_SDR": "global SDR (MDX)",
    "SI_SDR": "SI\u2011SDR",  # with a hyphen that does not break
    "mixture_SDR": "mixture's SDR",
}


def medians_table(evaluation: EvaluationReport) -> Table:
    """A row per stem, and their mean: every metric, and what the model gains over doing nothing."""
    rows: dict[str, dict[str, float]] = {}
    for stem in evaluation.instruments:
        rows[stem] = scores = {
            metric: (stem_mean if metric in GLOBAL_METRICS.values() else stem_median)(evaluation.tracks, stem, metric)
            for metric in _METRICS
        }
        scores["gain"] = scores["SDR"] - scores["mixture_SDR"]
    if len(rows) > 1:
        rows["mean of the stems"] = {
            column: finite_mean(scores[column] for scores in rows.values()) for column in (*_METRICS, "gain")
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
    """This model, baselines and published models by median SDR, the best mean first."""
    stems, here = evaluation.instruments, evaluation.dataset

    def row(name: str, sdr: Mapping[str, float], scored_on: str = here) -> tuple[float, list[Cell]]:
        scores = [sdr.get(stem, math.nan) for stem in stems]
        mean = sum(scores) / len(stems)  # NaN, since a mean over fewer stems is not comparable
        return mean, [Cell(name), *map(_score, [*scores, mean]), Cell(scored_on)]

    this = row(evaluation.model, _medians(evaluation.tracks, stems))
    models = [
        this,
        *(row(name, _medians(table, stems)) for name, table in evaluation.comparable_baselines.items()),
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
    """A row per track, the worst mean first; sortable. ``anchors``: the ``id`` of the player by track."""
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
        caption=f"{_tracks(len(evaluation.failed))} without a score; the others are not affected.",
    )


def _tracks(number: int) -> str:
    return "1 track" if number == 1 else f"{number} tracks"


def _score(score: float) -> Cell:
    return Cell(decibels(score), score if math.isfinite(score) else None)


def _left_out(num_nan_frames: float, num_frames: float) -> Cell:
    return Cell(f"{int(num_nan_frames)} of {int(num_frames)}", int(num_nan_frames))


def _medians(tracks: pd.DataFrame, stems: Sequence[str]) -> dict[str, float]:
    return {stem: stem_median(tracks, stem) for stem in stems}


def stem_scores(tracks: pd.DataFrame, stem: str, metric: str = "SDR") -> NDArray[np.float64]:
    """The finite scores of a stem in dB, in the table's order."""
    scores = tracks.loc[tracks["target"] == stem, metric].to_numpy(np.float64)
    finite: NDArray[np.float64] = scores[np.isfinite(scores)]
    return finite


def stem_median(tracks: pd.DataFrame, stem: str, metric: str = "SDR") -> float:
    """Median of a stem over the tracks, in dB; NaN if no track has a score."""
    scores = stem_scores(tracks, stem, metric)
    return float(np.median(scores)) if len(scores) else float("nan")


def stem_mean(tracks: pd.DataFrame, stem: str, metric: str) -> float:
    """Mean of a stem over the tracks, in dB; NaN if no track has a score."""
    return finite_mean(stem_scores(tracks, stem, metric))


def finite_mean(scores: Iterable[float]) -> float:
    """Mean of the finite scores; NaN if none is."""
    finite = [score for score in scores if np.isfinite(score)]
    return float(np.mean(finite)) if finite else float("nan")


def track_scores(tracks: pd.DataFrame) -> Mapping[str, Mapping[str, float]]:
    """The median SDR of each stem of each track, in dB."""
    scores: dict[str, dict[str, float]] = {}
    for track, stem, sdr in zip(tracks["track"], tracks["target"], tracks["SDR"], strict=True):
        scores.setdefault(str(track), {})[str(stem)] = float(sdr)
    return scores


def decibels(score: float) -> str:
    """A score as the report writes it: two decimals with a true minus; a dash if it is not finite."""
    return f"{round(score, 2) + 0.0:.2f}".replace("-", "−") if math.isfinite(score) else "–"
