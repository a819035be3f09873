"""What a run that has ended shows on its Prefect page: a pipeline in a text, scores and songs in tables."""

from collections.abc import Sequence
from pathlib import Path

from sepcore.batch.song import Outcome, Totals
from sepcore.evaluation.run_scores import run_scores
from sepcore.evaluation.scores import ScoreSummary
from sepcore.system.printable import printable
from sepcore.training.run_folder import RunFolder
from tasks.artifacts import show_markdown, show_table
from tasks.tracking.store import page_of

# Prefect's page draws all of a table at once.
_ROWS = 200


def show_scores(model: str, summary: ScoreSummary) -> None:
    """The scores of a model on a test set, a row a stem, in dB."""
    rows = [
        {
            "stem": stem,
            "mixture SDR": round(scores.mixture_sdr, 2),
            "SDR": round(scores.sdr, 2),
            "gain": round(scores.sdr - scores.mixture_sdr, 2),
            "ISR": round(scores.isr, 2),
            "SIR": round(scores.sir, 2),
            "SAR": round(scores.sar, 2),
        }
        for stem, scores in summary.stems.items()
    ]
    tracks = f"{summary.num_tracks} {'track' if summary.num_tracks == 1 else 'tracks'}"
    show_table(f"scores {model}", rows, f"{model} on {summary.dataset} ({tracks}; median of medians, dB)")


def show_batch(outcomes: Sequence[Outcome], out: Path) -> None:
    """How many songs of a batch were done, skipped and failed, and why they failed."""
    totals = Totals.of(outcomes)
    counts = f"{totals.done} done, {totals.skipped} skipped, {totals.failed} failed"
    if totals.failed:
        bad = [outcome for outcome in outcomes if outcome.status == "failed"]
        rows = [{"song": one.shown_song, "why": one.why} for one in bad[:_ROWS]]
        more = f"; the first {_ROWS} of them" if len(bad) > _ROWS else ""
        show_table("failed songs", rows, f"{counts}{more}")
    lines = [
        f"{len(outcomes)} songs: {counts}",
        f"- stems: `{printable(out.absolute())}`",
        f"- a row a song: `{printable((out / 'summary.parquet').absolute())}`",
    ]
    if totals.done:
        lines.append(f"- {totals.audio_s:.0f} s of audio at {totals.audio_s / totals.busy_s:.1f} times real time")
    show_markdown("batch", "\n".join(lines), counts)


def show_pipeline(run: RunFolder, releases: Sequence[str]) -> None:
    """A training from its songs to its release, with links.

    Args:
        run: What was trained.
        releases: Tarballs, and addresses on GitHub, of what was published.
    """
    done = run.finished()
    if done is None:
        return
    facts, name = done.facts, done.name
    page = page_of(done.mlflow_run_id) if done.mlflow_run_id else None
    lines = [
        f"# {name}",
        f"- trained {done.steps} steps on {facts.get('songs', '?')} songs of {facts.get('manifest', '?')}",
        f"- run folder: `{run.path.absolute()}`",
    ]
    if page:
        lines.append(f"- [MLflow run]({page}): parameters, curves, what was heard, the model")
    report = run.evaluation / "report.html"
    if report.is_file():
        at = f"; [in MLflow]({page}/artifacts/report.html)" if page else ""
        lines.append(f"- report: `{report.absolute()}`{at}")
    for place in releases:
        lines.append(f"- release: <{place}>" if "://" in place else f"- release: `{Path(place).absolute()}`")
    lines.append(f"- separate with it: `python -m flows.separate_batch SONGS -o OUT -p {run.path}`")
    if (scores := run_scores(run).summary) is not None:
        lines += ["", f"| SDR on {scores.dataset}, dB | mixture | model | gain |", "| --- | --- | --- | --- |"]
        for stem, score in scores.stems.items():
            gain = score.sdr - score.mixture_sdr
            lines.append(f"| {stem} | {score.mixture_sdr:.2f} | {score.sdr:.2f} | {gain:+.2f} |")
    show_markdown(f"summary {name}", "\n".join(lines), f"{name}: {run.path.name}")
