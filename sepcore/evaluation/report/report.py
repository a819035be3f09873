"""The report's files: one page, and the box plots beside it."""

from pathlib import Path

from sepcore.evaluation.report.box_plots import save_box_plots
from sepcore.evaluation.report.evaluation_report import EvaluationReport
from sepcore.evaluation.report.excerpt import Excerpt
from sepcore.evaluation.report.explanations import explanations, published_sources, warning_box
from sepcore.evaluation.report.medians import decibels, track_scores
from sepcore.evaluation.report.score_tables import failed_table, medians_table, models_table, tracks_table
from sepcore.page.document import build_document, text
from sepcore.page.player import PLAYER_SCRIPTS, Picture, PlayerSong, PlayerStem, build_player
from sepcore.page.table import SORTING_SCRIPT
from sepcore.system.atomic import write_text


def write_report(folder: Path, evaluation: EvaluationReport) -> Path:
    """Write ``report.html``, which needs no other file, and ``boxplot.png`` and ``boxplot.svg``.

    The same evaluation gives the same bytes: there is no date and no path in them.

    Args:
        folder: Where to; made if need be. Each file is written whole or not at all; one that stands there is replaced.
        evaluation: What to report.

    Returns:
        The page.

    Raises:
        OSError: if an excerpt's file cannot be read, or the report not be written.
    """
    page = folder / "report.html"
    write_text(page, build_report_page(evaluation, save_box_plots(folder, evaluation)))
    return page


def build_report_page(evaluation: EvaluationReport, box_plots: str) -> str:
    """The page as HTML, with all that it shows and plays in it.

    Args:
        evaluation: What to report.
        box_plots: The figure, as an SVG element.

    Raises:
        OSError: if an excerpt's file cannot be read.
    """
    title = f"{evaluation.model} on {evaluation.dataset}"
    return build_document(title, _body(evaluation, box_plots), scripts=[*PLAYER_SCRIPTS, SORTING_SCRIPT])


def _body(evaluation: EvaluationReport, box_plots: str) -> str:
    anchors = {excerpt.track: f"track-{number}" for number, excerpt in enumerate(evaluation.excerpts, start=1)}
    num_tracks = evaluation.tracks["track"].nunique()
    stems = ", ".join(evaluation.instruments)
    sections = {
        "Scores": medians_table(evaluation),
        "Beside other models": f"{_figure(evaluation, box_plots)}\n{models_table(evaluation)}\n{published_sources()}",
        "Tracks": tracks_table(evaluation, anchors),
    }
    if evaluation.failed:
        sections["Failed tracks"] = failed_table(evaluation)
    if evaluation.excerpts:
        players = [
            build_player(_song(excerpt, evaluation), anchor=anchors[excerpt.track]) for excerpt in evaluation.excerpts
        ]
        sections["Listen"] = "\n".join(players)
    sections["What the numbers mean"] = explanations(evaluation)
    return "\n".join(
        (
            "<header>",
            f"<h1>{text(evaluation.model)}</h1>",
            f'<p class="lead">Evaluated on {text(evaluation.dataset)}: {num_tracks} '
            f"{'track' if num_tracks == 1 else 'tracks'}; {text(stems)}</p>",
            warning_box(evaluation),
            "</header>",
            "<main>",
            *(f"<section>\n<h2>{heading}</h2>\n{content}\n</section>" for heading, content in sections.items()),
            "</main>",
        )
    )


def _figure(evaluation: EvaluationReport, box_plots: str) -> str:
    what = f"Box plots of the tracks' median SDR, a panel a stem: {evaluation.model}, baselines and published medians"
    return f'<figure class="scroll" role="img" aria-label="{text(what)}" tabindex="0">\n{box_plots}\n</figure>'


def _song(excerpt: Excerpt, evaluation: EvaluationReport) -> PlayerSong:
    scores = track_scores(evaluation.tracks).get(excerpt.track, {})
    sdr = ", ".join(f"{stem} {decibels(score)}" for stem, score in scores.items())
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
