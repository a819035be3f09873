"""The files of a report: one page and the box plots."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sepcore.evaluation.excerpt import Excerpt
from sepcore.evaluation.report import score_tables
from sepcore.evaluation.report.box_plots import save_box_plots
from sepcore.evaluation.report.evaluation_report import NOT_COMPARABLE, PUBLISHED, EvaluationReport
from sepcore.page.document import SORTING_SCRIPT, build_document, write_document
from sepcore.page.player import PLAYER_SCRIPTS, Picture, PlayerSong, PlayerStem


def write_report(folder: Path, evaluation: EvaluationReport) -> Path:
    """Write ``report.html``, which needs no other file, and ``boxplot.png`` and ``boxplot.svg``.

    The folder is made if need be. The same evaluation gives the same bytes, without date or path. Each file is written
    whole or not at all, and replaces an older one.

    Returns:
        The page.

    Raises:
        OSError: an excerpt's file cannot be read, or the report cannot be written.
    """
    page = folder / "report.html"
    write_document(page, build_report(evaluation, save_box_plots(folder, evaluation)))
    return page


def build_report(evaluation: EvaluationReport, box_plots: str) -> Iterator[str]:
    """The page as pieces of HTML, with all that it shows and plays embedded; ``box_plots`` is an SVG element."""
    anchors = {excerpt.track: f"track-{number}" for number, excerpt in enumerate(evaluation.excerpts, start=1)}
    sdr = evaluation.frames["SDR"].to_numpy(np.float64)
    return build_document(
        Path(__file__).parent,
        "report.html",
        title=f"{evaluation.model} on {evaluation.dataset}",
        scripts=[*PLAYER_SCRIPTS, SORTING_SCRIPT],
        evaluation=evaluation,
        not_comparable=NOT_COMPARABLE,
        num_unscored=np.count_nonzero(~np.isfinite(sdr)),
        medians=score_tables.medians_table(evaluation),
        models=score_tables.models_table(evaluation),
        tracks=score_tables.tracks_table(evaluation, anchors),
        failed=score_tables.failed_table(evaluation),
        published=PUBLISHED,
        box_plots=box_plots,
        songs={anchors[excerpt.track]: _song(excerpt, evaluation) for excerpt in evaluation.excerpts},
    )


def _song(excerpt: Excerpt, evaluation: EvaluationReport) -> PlayerSong:
    scores = score_tables.track_scores(evaluation.tracks).get(excerpt.track, {})
    sdr = ", ".join(f"{stem} {score_tables.decibels(score)}" for stem, score in scores.items())
    part = f"{_clock(excerpt.start_s)} to {_clock(excerpt.start_s + excerpt.duration_s)} of the track"
    return PlayerSong(
        name=excerpt.track,
        duration_s=excerpt.duration_s,
        mixture=excerpt.mixture,
        stems=[
            PlayerStem(
                stem.name,
                {"estimate": stem.estimate, "reference": stem.reference},
                Picture(stem.picture, ("estimate", "reference"), excerpt.top_hz),
            )
            for stem in excerpt.stems
        ],
        note=f"{part}; SDR of the track in dB: {sdr}" if sdr else part,
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
