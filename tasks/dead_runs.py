"""Mark runs whose process died without reporting, e.g. killed by the OOM killer.

Their pages would show them as running forever. Every process notes its runs; the next one that starts a flow marks
those of dead processes: flow runs and their tasks as crashed in Prefect, training runs as killed in MLflow.
"""

import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State, TaskRun
from prefect.settings import get_current_settings
from prefect.states import Crashed

from sepcore.system.urls import shown
from tasks.process_notes import Note, ProcessNotes, is_own_prefect_api
from tasks.tracking import SQLITE, tracking_uri

_logger = logging.getLogger(__name__)
_MESSAGE = (
    "Its process ended without reporting: it was killed (out of memory, perhaps), or stopped with flows.serve. "
    "Completed work was kept; run it again to resume."
)
# Prefect's server answers with no more at once.
_PAGE = 200
_ANSWER_S = 10.0

Run = TypeVar("Run", FlowRun, TaskRun)


_notes = ProcessNotes(get_current_settings().home / "stemworks-processes")


def note_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook of a flow that begins to run: note that this process runs it, and mark dead runs."""
    _notes.add(Note("prefect", _prefect_apis()[0], str(flow_run.id)))
    mark_dead_runs()


def note_tracked_run(store: str, run_id: str) -> None:
    """Note that this process works on a run of the MLflow store."""
    _notes.add(Note("mlflow", shown(store), run_id))


def note_end_of_tracked_run(store: str, run_id: str) -> None:
    """Note that it has ended, in whatever state, so that the next process need not ask the store."""
    _notes.remove(Note("mlflow", shown(store), run_id))


def mark_dead_runs() -> None:
    """Mark the runs of this machine's dead processes in the Prefect API and the MLflow store that are configured now.

    Runs of other APIs and stores are kept for a later start.
    """
    _notes.settle_dead(_settle)


def _settle(notes: set[Note]) -> set[Note]:
    crashed = {note for note in notes if note.kind == "prefect" and shown(note.where) in _prefect_apis()}
    if crashed:
        with get_client(sync_client=True) as client:
            _crash(client, [UUID(note.run) for note in crashed])
    tracked = {note for note in notes if (note.kind, shown(note.where)) == ("mlflow", shown(tracking_uri()))}
    return crashed | {note for note in tracked if _end_tracked(note)}


def _crash(client: SyncPrefectClient, run_ids: list[UUID]) -> None:
    """Mark flow runs and their task runs that have not ended."""
    of_them = FlowRunFilter(id=FlowRunFilterId(any_=run_ids))
    state: State[Any] = Crashed(message=_MESSAGE)
    for task_run in _pages(lambda offset: client.read_task_runs(flow_run_filter=of_them, limit=_PAGE, offset=offset)):
        if _is_under_way(task_run):
            client.set_task_run_state(task_run.id, state, force=True)
    for flow_run in _pages(lambda offset: client.read_flow_runs(flow_run_filter=of_them, limit=_PAGE, offset=offset)):
        if _is_under_way(flow_run):
            client.set_flow_run_state(flow_run.id, state, force=True)
            _logger.warning("%s is marked as crashed in Prefect: its process was killed or stopped", flow_run.name)


def _pages(read: Callable[[int], list[Run]]) -> list[Run]:
    runs: list[Run] = []
    while page := read(len(runs)):
        runs += page
    return runs


def _is_under_way(run: FlowRun | TaskRun) -> bool:
    return run.state is None or not run.state.is_final()


def _end_tracked(note: Note) -> bool:
    """Mark a run that is still said to be running as killed; False if its store does not answer."""
    if note.where.startswith(SQLITE) and not Path(note.where.removeprefix(SQLITE)).is_file():
        return True  # removed since; to ask would make it anew
    # MLflow takes seconds to import, and is needed only where something has died.
    from mlflow.entities import RunStatus
    from mlflow.exceptions import MlflowException

    from tasks.tracking.store import call_with_timeout, store_client

    def end() -> None:
        if store_client().get_run(note.run).info.status == RunStatus.to_string(RunStatus.RUNNING):
            store_client().set_terminated(note.run, RunStatus.to_string(RunStatus.KILLED))

    try:
        call_with_timeout(_ANSWER_S, end)
    except MlflowException as error:
        return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")
    except Exception as error:  # what its HTTP library or its database raises
        _logger.info("the MLflow run %s of a dead process is still said to be running (%s)", note.run, error)
        return False
    return True


def _prefect_apis() -> tuple[str, ...]:
    """The names of the configured Prefect API: its address, and first the database if it is one of our own servers.

    Those servers come and go, each at another port, and a shell may know one by its address alone.
    """
    settings = get_current_settings()
    address = (shown(settings.api.url),) if settings.api.url else ()
    if address and not is_own_prefect_api():
        return address
    database = settings.server.database.connection_url
    # The address of a database may hold a password.
    number = zlib.crc32(database.get_secret_value().encode()) if database else 0
    return (f"{settings.home} {number:08x}", *address)
