"""What a run shows on its Prefect page: tables, texts, links and progress. None of it ever fails the run."""

import contextvars
import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
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

_logger = logging.getLogger(__name__)
_EVERY_S = 5.0
_END_S = 10.0


def show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """A table, whose columns are the rows' keys."""
    # Prefect's page draws strings and numbers; NaN is no JSON.
    shown = [{name: "–" if value != value else value for name, value in row.items()} for row in rows]
    _show(create_table_artifact, key, table=shown, description=description)


def show_markdown(key: str, markdown: str, description: str) -> None:
    """A text in Markdown."""
    _show(create_markdown_artifact, key, markdown=markdown, description=description)


def show_link(key: str, address: str, text: str, description: str) -> None:
    """A link."""
    _show(create_link_artifact, key, link=address, link_text=text, description=description)


def artifact_key(words: str) -> str:
    """A key as Prefect takes it: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "artifact"


def _show(create: Callable[..., Any], key: str, **content: Any) -> None:
    if flow_run.id is None:
        return
    try:
        _sync(create, key=artifact_key(key), **content)
    except Exception as error:  # whatever Prefect's client raises while its API is away
        _logger.warning("Prefect's API failed (%s): its page lacks %s", error, artifact_key(key))


class ProgressArtifact:
    """Show how far the work in its context is, on the page of its Prefect run; outside one it does nothing.

    Updates are sent from a thread, so the work never waits for Prefect's API, whether it answers or not.

    Args:
        what: What the work is; Prefect's key is made of it.
        every_s: Seconds between updates, at least.
    """

    def __init__(self, what: str, *, every_s: float = _EVERY_S) -> None:
        self._key = artifact_key(what)
        self._every_s = every_s
        self._state = (0.0, "")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._artifact: UUID | None = None
        self._told: tuple[float, str] | None = None
        self._warned = False

    def __enter__(self) -> Self:
        """Start to tell Prefect."""
        if flow_run.id is not None:
            # The copy says to which run the artifact belongs.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._work,), name="prefect-progress", daemon=True)
            self._thread.start()
        return self

    def __call__(self, done: int, total: int, note: str) -> None:
        """Take how much of how much is done, and a note; kept until the next update."""
        self._state = (100 * done / total, note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell the last state and end; an API that does not answer is waited for ten seconds at most."""
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
    losses = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items() if key.endswith("_loss"))
    note = f"step {step} of {max_steps}"
    return f"{note}: {losses}" if losses else note


def _sync(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Prefect's functions, which are typed as if they might have to be awaited, called so that they need not."""
    return call(*given, _sync=True, **named)
