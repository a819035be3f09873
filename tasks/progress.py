"""A training's progress and its MLflow page, as artifacts of the Prefect run that it belongs to."""

import contextvars
import logging
import re
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from prefect.artifacts import create_link_artifact, create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

_logger = logging.getLogger(__name__)
_EVERY_S = 5.0
_END_S = 10.0


class TrainingArtifact:
    """A context in which a training runs; outside a Prefect run it does nothing.

    Prefect is told from a thread of its own: training waits for it neither while it works nor while its API is gone.

    Args:
        name: Of the model.
        max_steps: Steps of the whole training.
        page: Address of the MLflow run, if there is one.
        every_s: Seconds between updates, at least.
    """

    def __init__(self, name: str, max_steps: int, *, page: str | None = None, every_s: float = _EVERY_S) -> None:
        self._name = name
        self._max_steps = max_steps
        self._page = page
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
            # The copy says to which task run the artifacts belong.
            run = contextvars.copy_context().run
            self._thread = threading.Thread(target=run, args=(self._work,), name="prefect-progress", daemon=True)
            self._thread.start()
        return self

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take how far the training is and what it measured; kept until the next update."""
        losses = ", ".join(f"{key} {value:.4g}" for key, value in metrics.items() if key.endswith("_loss"))
        state = (100 * step / self._max_steps, f"step {step} of {self._max_steps}")
        self._state = (state[0], f"{state[1]}: {losses}" if losses else state[1])

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
            except Exception as error:  # whatever Prefect's client raises: training goes on
                if not self._warned:
                    _logger.warning("Prefect's API failed (%s); training goes on without its progress there", error)
                self._warned = True
            self._stop.wait(self._every_s)

    def _tell(self) -> None:
        state = self._state
        if state == self._told:
            return
        progress, description = state
        if self._artifact is None:
            # Prefect takes lower case, digits and dashes in a key.
            key = re.sub(r"[^a-z0-9]+", "-", f"training-{self._name}".lower()).strip("-")
            if self._page is not None:
                _sync(create_link_artifact, self._page, "MLflow run", key=f"{key}-mlflow", description=self._name)
            self._artifact = _sync(create_progress_artifact, progress, key=key, description=description)
        else:
            _sync(update_progress_artifact, self._artifact, progress=progress, description=description)
        self._told = state


def _sync(call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Prefect's functions, which are typed as if they might have to be awaited, called so that they need not."""
    return call(*given, _sync=True, **named)
