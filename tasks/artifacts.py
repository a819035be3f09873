"""What a run shows on its Prefect page: tables, texts, links and progress. None of it ever fails the run."""

import contextvars
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.runtime import flow_run

from sepcore.batch.song import Outcome, Totals
from sepcore.evaluation.run_scores import run_scores
from sepcore.evaluation.scores import ScoreSummary
from sepcore.system.printable import printable
from sepcore.training.run_folder import RunFolder

_logger = logging.getLogger(__name__)
_EVERY_S = 5.0
_END_S = 10.0
# Prefect's page draws all of a table at once.
_ROWS = 200


def show_link(key: str, address: str, text: str, description: str) -> None:
    """A link."""
    _show(create_link_artifact, key, link=address, link_text=text, description=description)


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
    _show_table(f"scores {model}", rows, f"{model} on {summary.dataset} ({tracks}; median of medians, dB)")


def show_batch(outcomes: Sequence[Outcome], out: Path) -> None:
    """How many songs of a batch were done, skipped and failed, and why they failed."""
    totals = Totals.of(outcomes)
    counts = f"{totals.done} done, {totals.skipped} skipped, {totals.failed} failed"
    if totals.failed:
        bad = [outcome for outcome in outcomes if outcome.status == "failed"]
        rows = [{"song": one.shown_song, "why": one.why} for one in bad[:_ROWS]]
        more = f"; the first {_ROWS} of them" if len(bad) > _ROWS else ""
        _show_table("failed songs", rows, f"{counts}{more}")
    lines = [
        f"{len(outcomes)} songs: {counts}",
        f"- stems: `{printable(out.absolute())}`",
        f"- a row a song: `{printable((out / 'summary.parquet').absolute())}`",
    ]
    if totals.done:
        lines.append(f"- {totals.audio_s:.0f} s of audio at {totals.audio_s / totals.busy_s:.1f} times real time")
    _show_markdown("batch", lines, counts)


def show_pipeline(run: RunFolder, releases: Sequence[str]) -> None:
    """A finished training from its songs to its release, with links.

    Args:
        run: Of the training; nothing is shown of an unfinished one.
        releases: Tarballs, and addresses on GitHub, of what was published.
    """
    done = run.finished()
    if done is None:
        return
    from tasks.tracking.store import page_of  # imports MLflow, which takes seconds

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
    _show_markdown(f"summary {name}", lines, f"{name}: {run.path.name}")


def _show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    # Prefect's page draws strings and numbers; NaN is no JSON.
    shown = [{name: "–" if value != value else value for name, value in row.items()} for row in rows]
    _show(create_table_artifact, key, table=shown, description=description)


def _show_markdown(key: str, lines: Sequence[str], description: str) -> None:
    _show(create_markdown_artifact, key, markdown="\n".join(lines), description=description)


def _show(create: Callable[..., Any], key: str, **content: Any) -> None:
    if flow_run.id is None:
        return
    try:
        _sync(create, key=_artifact_key(key), **content)
    except Exception as error:  # whatever Prefect's client raises while its API is away
        _logger.warning("Prefect's API failed (%s): its page lacks %s", error, _artifact_key(key))


def _artifact_key(words: str) -> str:
    """A key as Prefect takes it: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "artifact"


class ProgressArtifact:
    """Show the progress of the work in its context on the page of its Prefect run; outside a run it does nothing.

    Updates are sent from a thread, so the work never waits for Prefect's API.

    Args:
        what: The work; Prefect's key is made of it.
        every_s: Seconds between updates, at least.
    """

    def __init__(self, what: str, *, every_s: float = _EVERY_S) -> None:
        self._key = _artifact_key(what)
        self._every_s = every_s
        self._state = (0.0, "")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._artifact: UUID | None = None
        self._told: tuple[float, str] | None = None
        self._warned = False

    def __enter__(self) -> Self:
        """Start the thread."""
        if flow_run.id is not None:
            # The copy says to which run the artifact belongs.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._work,), name="prefect-progress", daemon=True)
            self._thread.start()
        return self

    def __call__(self, done: int, total: int, note: str) -> None:
        """Set the progress that the next update sends."""
        self._state = (100 * done / total, note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Send the last state and end; an API that does not answer is waited for ten seconds at most."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_END_S)

    def _work(self) -> None:
        last = False
        while not last:
            last = self._stop.is_set()
            try:
                self._tell()
            except Exception as error:  # whatever Prefect's client raises: the work goes on
                if not self._warned:
                    _logger.warning("Prefect's API failed (%s); the work goes on without its progress there", error)
                self._warned = True
            self._stop.wait(self._every_s)

    def _tell(self) -> None:
        state = self._state
        if state == self._told:
            return
        progress, description = state
        if self._artifact is None:
            self._artifact = _sync(create_progress_artifact, progress, key=self._key, description=description)
        else:
            _sync(update_progress_artifact, self._artifact, progress=progress, description=description)
        self._told = state


def step_note(step: int, max_steps: int, metrics: Mapping[str, float]) -> str:
    """A training's step and its losses."""
    losses = [f"{key} {value:.4g}" for key, value in metrics.items() if key.endswith("_loss")]
    return f"step {step} of {max_steps}" + (f": {', '.join(losses)}" if losses else "")


def _sync(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Call one of Prefect's functions, typed as if they might have to be awaited, so that it need not be."""
    return call(*given, _sync=True, **named)
