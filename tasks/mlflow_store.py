"""MLflow's store: where it is, whether it answers, and how long a call to it may take."""

import errno
import logging
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TypeVar

from sepcore.errors import TrackingError
from sepcore.system.locks import locked
from sepcore.system.os_errors import DISK_FULL, NOT_PERMITTED, TOO_MANY_FILES, fix_for, reason_of
from sepcore.system.urls import shown
from tasks.store_address import SQLITE, tracking_uri

# Before MLflow is imported: it would look up its makers' host, and warn three times where there is no git.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
# MLflow itself waits up to 120 s for an answer and asks eight times. What is not sent here is kept and sent later, so
# nothing is gained by waiting. Files are given their time.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT", "120")
# It prints the address of each run that ends on a server, and bars for files that it copies.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

# Each retry is a warning to it; that a store is gone is told once, by tasks.store_guard.
logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
# What its database refuses is a traceback of forty lines to it; it is raised, too.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

_EXISTS = ErrorCode.Name(RESOURCE_ALREADY_EXISTS)
_ARTIFACTS = "mlruns"
_ANSWER_S = 10.0
# Making or migrating the tables of a new file takes up to 10 s on a quiet machine.
_SQLITE_ANSWER_S = 120.0
# Where `make ui` shows the store of the working directory.
_LOCAL_UI = "http://127.0.0.1:5000"

# What is wrong with the disk or the process, not with the address.
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
                ping()
                return
            file = Path(uri.removeprefix(SQLITE))
            with suppress(OSError):  # where no lock can be, the store says what is wrong
                # Two processes that make or migrate its tables at once break each other's.
                stack.enter_context(locked(file.with_name(f".{file.name}.lock"), f"opening {file}"))
            ping(_SQLITE_ANSWER_S)
    except Exception as error:  # MLflow lets through what its database or HTTP library raises
        raise unusable(error) from error


def ping(limit_s: float = _ANSWER_S) -> None:
    """Ask the store anything; raises what MLflow raises, or TimeoutError after ``limit_s`` seconds."""
    call_with_timeout(limit_s, lambda: store_client().search_experiments(max_results=1))


def unusable(error: Exception) -> TrackingError:
    """What to tell the user of a store that failed."""
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
    """Do something that may hang in a thread that the process does not wait for; TimeoutError after ``limit_s``."""
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
