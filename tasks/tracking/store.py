"""MLflow's store: whether it answers, how long a call may take, and what it has of a run."""

import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import mlflow
from mlflow.entities import Run
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode

from sepcore.errors import TrackingError
from sepcore.system.locks import locked
from sepcore.system.os_errors import DISK_FULL, NOT_PERMITTED, TOO_MANY_FILES, fix_for, reason_of
from sepcore.system.urls import shown
from tasks.tracking import SQLITE, tracking_uri

_logger = logging.getLogger(__name__)
# It warns of each retry; `StoreGuard` reports once that a store is gone.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
# It logs what its database refuses as a traceback of forty lines; it is raised, too.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

_EXISTS, _UNKNOWN = ErrorCode.Name(RESOURCE_ALREADY_EXISTS), ErrorCode.Name(RESOURCE_DOES_NOT_EXIST)
_ARTIFACTS = "mlruns"
_ANSWER_S = 10.0
# Making or migrating the tables of a new file takes up to 10 s on a quiet machine.
_SQLITE_ANSWER_S = 120.0
_PING_S = 5.0
# A store that has just not answered is not asked again, so that the many calls at a run's end do not add up.
_BELIEVED_S = 5.0
# Where `make ui` shows the store of the working directory.
_LOCAL_UI = "http://127.0.0.1:5000"

# Errors of the disk or the process, not of the address.
_OF_THE_PLACE = DISK_FULL | NOT_PERMITTED | TOO_MANY_FILES
_SYSTEM_ERROR = re.compile(r"\[Errno (-?\d+)\] ([\w ]+)")
_SQLITE_ERROR = re.compile(r"\(sqlite3\.\w+\) (.+)")
_SQLITE_FULL = "database or disk is full"

Result = TypeVar("Result")


def store_client() -> mlflow.MlflowClient:
    """A client of the store at `tracking_uri`; the first one of an SQLite file opens it, a server is not asked yet."""
    return mlflow.MlflowClient(tracking_uri())


def check_store() -> None:
    """Refuse a store that does not answer, within ten seconds; a new SQLite file is made.

    Raises:
        TrackingError: one line that names the store and says how to start it or do without.
    """
    uri = tracking_uri()
    try:
        with ExitStack() as stack:
            if not uri.startswith(SQLITE):
                _ping()
                return
            file = Path(uri.removeprefix(SQLITE))
            with suppress(OSError):  # without a lock, the store itself reports what is wrong
                # Two processes that make or migrate its tables at once break each other's.
                stack.enter_context(locked(file.with_name(f".{file.name}.lock"), f"opening {file}"))
            _ping(_SQLITE_ANSWER_S)
    except Exception as error:  # MLflow lets through what its database or HTTP library raises
        raise unusable(error) from error


def _ping(limit_s: float = _ANSWER_S) -> None:
    """Ask the store anything; raises what MLflow raises, or TimeoutError after ``limit_s`` seconds."""
    call_with_timeout(limit_s, lambda: store_client().search_experiments(max_results=1))


def unusable(error: Exception) -> TrackingError:
    """The error of a store that failed, for the user."""
    uri, refused = tracking_uri(), _system_error(error)
    if uri.startswith(("http://", "https://")):
        hint = "Start that server, or unset MLFLOW_TRACKING_URI to track in mlflow.db in the working directory."
    elif refused is not None and refused.errno in _OF_THE_PLACE:
        hint = f"{fix_for(refused)}, or set MLFLOW_TRACKING_URI to another store."
    elif os.environ.get("MLFLOW_TRACKING_URI"):
        hint = "Fix MLFLOW_TRACKING_URI, or unset it to track in mlflow.db in the working directory."
    else:
        hint = "Move that file away, or set MLFLOW_TRACKING_URI to another store."
    number = None if refused is None else refused.errno
    return TrackingError(f"MLflow's store cannot be used ({reason(error)})", path=uri, hint=hint, errno=number)


def reason(error: Exception) -> str:
    """What went wrong, in a few words: MLflow's texts run over many lines."""
    if (refused := _system_error(error)) is not None:
        return reason_of(refused)
    text = str(error)
    if (of_database := _SQLITE_ERROR.search(text)) is not None:
        return of_database[1][:200]
    return (text.splitlines() or [""])[0][:200] or type(error).__name__


def _system_error(error: Exception) -> OSError | None:
    """The system's error in the text of MLflow, its database, its HTTP library or its server."""
    text = str(error)
    if (named := _SYSTEM_ERROR.search(text)) is not None:
        return OSError(int(named[1]), named[2])
    if (of_database := _SQLITE_ERROR.search(text)) is not None:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if of_database[1] == _SQLITE_FULL else None
    return OSError(errno.ETIMEDOUT, "no answer") if isinstance(error, TimeoutError) or "timed out" in text else None


def call_with_timeout(limit_s: float, call: Callable[[], Result]) -> Result:
    """Make a call that may hang, in a thread that the process does not wait for; TimeoutError after ``limit_s``."""
    answer: Future[Result] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except BaseException as error:  # handed to the caller
            answer.set_exception(error)

    threading.Thread(target=work, name="mlflow-call", daemon=True).start()
    return answer.result(limit_s)


def experiment_id(client: mlflow.MlflowClient, name: str) -> str:
    """The experiment of a model's runs, made if there is none."""
    if (found := client.get_experiment_by_name(name)) is not None:
        return str(found.experiment_id)
    uri = tracking_uri()
    # Beside the store, wherever that is; a tracking server has a place of its own.
    artifacts = Path(uri.removeprefix(SQLITE)).parent / _ARTIFACTS if uri.startswith(SQLITE) else None
    try:
        return str(client.create_experiment(name, artifact_location=artifacts.as_uri() if artifacts else None))
    except mlflow.exceptions.MlflowException as error:
        # Another training of the same model has just started.
        made = client.get_experiment_by_name(name) if error.error_code == _EXISTS else None
        if made is not None:
            return str(made.experiment_id)
        raise


def page_address(experiment: str, run_id: str) -> str:
    """Where a browser shows a run: on the tracking server, or where ``make ui`` serves a local store."""
    uri = tracking_uri()
    host = shown(uri).rstrip("/") if uri.startswith(("http://", "https://")) else _LOCAL_UI
    return f"{host}/#/experiments/{experiment}/runs/{run_id}"


def stored_run(run_id: str) -> Run | None:
    """The store's run, deleted or not; None if it does not know it. Raises what MLflow raises."""
    try:
        return store_client().get_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code == _UNKNOWN:
            return None
        raise


def page_of(run_id: str) -> str | None:
    """Address of a run's page, or None if the store does not know the run or does not answer."""
    try:
        stored = call_with_timeout(_ANSWER_S, lambda: store_client().get_run(run_id))
    except Exception as error:  # MLflow lets through what its database or HTTP library raises
        _logger.warning("MLflow's store does not tell where the run %s is: %s", run_id, error)
        return None
    return page_address(str(stored.info.experiment_id), run_id)


def run_folder_of(run_id: str) -> Path | None:
    """The folder of an MLflow run that this project made, or None; TrackingError if the store does not answer."""
    try:
        stored = stored_run(run_id)
    except mlflow.exceptions.MlflowException as error:
        raise unusable(error) from error
    folder = stored.data.tags.get("run_folder") if stored else None
    return Path(folder) if folder else None


class StoreGuard:
    """Calls to a store that may go away at any time: the first failure is logged, none is raised. Thread-safe.

    Args:
        kept: Says what is kept while the store is gone, for the line about the first failure.
    """

    def __init__(self, kept: str) -> None:
        self._kept = kept
        self._gone = False
        self._failed_at = 0.0
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def attempt(self, what: str, call: Callable[[], object]) -> bool:
        """Do a call; False if it failed. A store that was gone is first asked for an answer, for five seconds."""
        if self._gone and time.monotonic() - self._failed_at < _BELIEVED_S:
            return False
        try:
            if self._gone:
                _ping(_PING_S)
            call()
        except Exception as error:  # tracking never ends a training, whatever MLflow or its libraries raise
            self.failed(what, error)
            return False
        self.answered()
        return True

    def failed(self, what: str, error: Exception) -> None:
        """A call failed; one line if that is news: that the store is gone, or why it does not take this."""
        with self._lock:
            self._failed_at = time.monotonic()
            if self._gone:
                return
            try:
                _ping(_PING_S)
            except Exception:  # as above
                self._gone = True
                _logger.warning("MLflow's store at %s failed (%s); %s", tracking_uri(), reason(error), self._kept)
                return
            if reason(error) not in self._told:  # other calls that fail for that reason are listed at the end
                self._told.add(reason(error))
                _logger.warning("MLflow's store at %s does not take %s: %s", tracking_uri(), what, reason(error))

    def answered(self) -> None:
        """A call succeeded: the next failure is news again."""
        with self._lock:
            back, self._gone = self._gone, False
        if back:
            _logger.warning("MLflow's store at %s answers again", tracking_uri())
