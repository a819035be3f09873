"""The tables of a report: medians, models beside each other, tracks, and what failed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sepcore.evaluation.bsseval.global_scores import GLOBAL_METRICS
from sepcore.evaluation.report.box_plots import label
from sepcore.evaluation.report.evaluation_report import NOT_COMPARABLE, EvaluationReport
from sepcore.evaluation.report.medians import decibels, finite_mean, stem_mean, stem_median, track_scores
from sepcore.evaluation.report.published import PUBLISHED
from sepcore.page.table import Cell, Column, build_table

if TYPE_CHECKING:
    import pandas as pd

_METRICS = {
    "SDR": "SDR",
    "ISR": "ISR",
    "SIR": "SIR",
    "SAR": "SAR",
    "global_SDR": "global SDR (MDX)",
    "SI_SDR": "SI\u2011SDR",  # with a hyphen that no line is broken at
    "mixture_SDR": "mixture's SDR",
}


def medians_table(evaluation: EvaluationReport) -> str:
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
    return build_table(
        [Column("stem", is_number=False), *(Column(name) for name in _METRICS.values()), Column("gain")],
        [[Cell(stem), *map(_score, scores.values())] for stem, scores in rows.items()],
        caption=f"Medians over {_tracks(num_tracks)}, of global SDR and SI-SDR means, in dB. Gain: SDR above that of "
        "the untouched mixture.",
        emphasised=[len(evaluation.instruments)],
    )


@dataclass(frozen=True)
class _Compared:
    name: str
    scored_on: str
    sdr: Mapping[str, float]
    mean: float


def models_table(evaluation: EvaluationReport) -> str:
    """This model among baselines and published ones by median SDR, the best mean first."""
    stems = evaluation.instruments
    here = evaluation.dataset
    models = [
        _compared(evaluation.model, here, _medians(evaluation.tracks, stems), stems),
        *(
            _compared(label(name), here, _medians(table, stems), stems)
            for name, table in evaluation.baselines_beside.items()
        ),
        *(
            _compared(f"{model.name} [{number}]", "MUSDB18's test set", model.sdr, stems)
            for number, model in enumerate(PUBLISHED, start=1)
            if set(stems) & set(model.sdr)
        ),
    ]
    this = models[0]
    models.sort(key=lambda model: -math.inf if math.isnan(model.mean) else model.mean, reverse=True)
    caption = "Median SDR in dB"
    return build_table(
        [Column("model", is_number=False), *map(Column, stems), Column("mean"), Column("scored on", is_number=False)],
        [
            [
                Cell(model.name),
                *(_score(model.sdr.get(stem, math.nan)) for stem in stems),
                _score(model.mean),
                Cell(model.scored_on),
            ]
            for model in models
        ],
        caption=f"{caption}." if evaluation.is_musdb18_test else f"{caption}; {here} is {NOT_COMPARABLE}.",
        emphasised=[models.index(this)],
    )


def tracks_table(evaluation: EvaluationReport, anchors: Mapping[str, str]) -> str:
    """A row a track, the worst mean first; sortable.

    Args:
        evaluation: What was scored.
        anchors: The ``id`` of a track's player, by track.
    """
    stems = evaluation.instruments
    counts = evaluation.tracks.groupby("track", sort=False)[["num_nan_frames", "num_frames"]].sum()
    rows = [(finite_mean(scores.values()), track, scores) for track, scores in track_scores(evaluation.tracks).items()]
    rows.sort(key=lambda row: (math.inf if math.isnan(row[0]) else row[0], row[1]))
    return build_table(
        [Column("track", is_number=False), *map(Column, stems), Column("mean"), Column("frames without a score")],
        [
            [
                Cell(track, track, anchors.get(track, "")),
                *(_score(scores.get(stem, math.nan)) for stem in stems),
                _score(mean),
                _left_out(*counts.loc[track]),
            ]
            for mean, track, scores in rows
        ],
        caption="Median SDR of each track's frames in dB, the worst track first. The linked tracks can be heard below."
        if anchors
        else "Median SDR of each track's frames in dB, the worst track first.",
        sorted_by=len(stems) + 1,
    )


def failed_table(evaluation: EvaluationReport) -> str:
    """The tracks without a score, and why."""
    return build_table(
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


def _compared(name: str, scored_on: str, sdr: Mapping[str, float], stems: Sequence[str]) -> _Compared:
    # A mean over fewer stems than this model has would not be one to compare with.
    return _Compared(name, scored_on, sdr, sum(sdr.get(stem, math.nan) for stem in stems) / len(stems))
