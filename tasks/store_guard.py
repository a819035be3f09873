"""Calls to a store that may go away while a training runs: the first failure is told, none is raised."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tasks.mlflow_store import ping, reason, tracking_uri

_logger = logging.getLogger(__name__)
_PING_S = 5.0
# A store that has just not answered is not asked again, so that the many calls at a run's end do not add up.
_BELIEVED_S = 5.0

Result = TypeVar("Result")


class StoreGuard:
    """Knows whether the store answered last time. May be used by several threads.

    Args:
        kept: What is not lost while the store is gone, to be told with the first failure.

    Attributes:
        missed: What could not be written, by the names that `attempt` was given.
    """

    def __init__(self, kept: str) -> None:
        self._kept = kept
        self._gone = False
        self._failed_at = 0.0
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self.missed: list[str] = []

    def attempt(self, what: str, call: Callable[[], Result]) -> Result | None:
        """Do a call; None if it fails. A store that is gone is asked for an answer first, for five seconds."""
        if self._gone and time.monotonic() - self._failed_at < _BELIEVED_S:
            self.missed.append(what)
            return None
        try:
            if self._gone:
                ping(_PING_S)
            result = call()
        except Exception as error:  # tracking never ends a training, whatever MLflow or its libraries raise
            self.missed.append(what)
            self.failed(what, error)
            return None
        self.answered()
        return result

    def failed(self, what: str, error: Exception) -> None:
        """A call failed; one line if that is news: that the store is gone, or why it does not take this."""
        with self._lock:
            self._failed_at = time.monotonic()
            if self._gone:
                return
            try:
                ping(_PING_S)
            except Exception:  # as above
                self._gone = True
                _logger.warning("MLflow's store at %s failed (%s); %s", tracking_uri(), reason(error), self._kept)
                return
            if reason(error) not in self._told:  # what else it does not take for that reason is told at the end
                self._told.add(reason(error))
                _logger.warning("MLflow's store at %s does not take %s: %s", tracking_uri(), what, reason(error))

    def answered(self) -> None:
        """A call succeeded: the next failure is news again."""
        with self._lock:
            back, self._gone = self._gone, False
        if back:
            _logger.warning("MLflow's store at %s answers again", tracking_uri())
