"""The MLflow run of a run folder: made once, gone on with when the training goes on."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import mlflow
from mlflow.entities import LifecycleStage, Metric, Param, Run, RunStatus
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrackingError
from sepcore.system.atomic import write_text
from sepcore.training.run_folder import RunFolder
from tasks.dataset_input import dataset_input
from tasks.dead_runs import note_end_of_tracked_run, note_tracked_run
from tasks.metrics_spool import MetricsSpool
from tasks.mlflow_names import mlflow_name
from tasks.mlflow_store import (
    check_store,
    experiment_id,
    page_address,
    store_client,
    tracking_uri,
    unusable,
)
from tasks.registered_model import register_model
from tasks.run_facts import PROJECT, flow_run_tags, git_tags, hardware
from tasks.store_guard import StoreGuard
from tasks.system_metrics import SystemMetrics

_logger = logging.getLogger(__name__)
_RUN_ID_FILE = "mlflow_run_id"
_CURSOR_FILE = "mlflow_sent.json"
_MISSED_FILE = "mlflow_missed"
_CHANGED = "config_changed"
# MLflow's limits of a call and of a tag.
_PARAMS, _TAG = 100, 5000

Result = TypeVar("Result")


class TrackedRun:
    """The MLflow run of a run folder.

    What is written to it never raises: a store that goes away is told once. Records of the run's `metrics.jsonl` are
    sent by themselves, those of a ``training`` while it runs.

    Args:
        run: The run folder; it keeps the id of its MLflow run.
        name: Of the model: the experiment's.
        training: Whether a training begins or goes on; otherwise something is added to its run.

    Attributes:
        is_whole: At the end: whether the store took everything.

    Raises:
        TrackingError: ``training`` begins and the store does not answer, or there can be no run in it. What is added
            later is worth less than the work before it: it gets a warning.
    """

    def __init__(self, run: RunFolder, name: str, *, training: bool = False) -> None:
        self.run = run
        self._guard = StoreGuard(f"measures are kept in {run.metrics} and sent when it is back, or by the next command")
        self.run_id = self._marker.read_text("utf-8") if self._marker.is_file() else ""
        self._experiment_id = ""
        self._status_is_ours = training
        self.is_whole = False
        try:
            self._attach(name, training)
        except TrackingError as error:
            if training:
                raise
            self._guard.failed("a run", error.__cause__ if isinstance(error.__cause__, Exception) else error)
        self._system = SystemMetrics(self.run_id) if training else None
        self._spool = MetricsSpool(
            store_client,
            self.run_id,
            log=run.metrics,
            cursor=run.path / _CURSOR_FILE,
            guard=self._guard,
            # MLflow's monitor of the machine gives up when the store fails once.
            after_send=self._system.start if self._system is not None else lambda: None,
        )
        if self._system is not None:
            self._system.start()
            self._spool.start()

    @property
    def _client(self) -> mlflow.MlflowClient:
        return store_client()  # MLflow keeps the connection

    @property
    def _marker(self) -> Path:
        return self.run.path / _RUN_ID_FILE

    def _attach(self, name: str, training: bool) -> None:
        check_store()
        try:
            stored = self._stored()
            if stored is None:
                self._status_is_ours = True
                stored = self._client.create_run(experiment_id(self._client, name), run_name=self.run.path.name)
                write_text(self._marker, str(stored.info.run_id))
            elif training:
                self._client.update_run(stored.info.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        except mlflow.exceptions.MlflowException as error:
            raise unusable(error) from error
        self.run_id = str(stored.info.run_id)
        if self._status_is_ours:
            note_tracked_run(tracking_uri(), self.run_id)
        self._experiment_id = str(stored.info.experiment_id)

    def _stored(self) -> Run | None:
        """The run that the folder names, unless this store does not have it or it was deleted there."""
        if not self.run_id:
            return None
        try:
            stored = self._client.get_run(self.run_id)
        except mlflow.exceptions.MlflowException as error:
            if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                return None
            raise
        return stored if stored.info.lifecycle_stage == LifecycleStage.ACTIVE else None

    def attempt(self, what: str, call: Callable[[], Result]) -> Result | None:
        """Do something with the store; None, and a warning at the run's end that names ``what``, if it is not there."""
        if not self.run_id:  # the store was gone when the run should have been made
            self._guard.missed.append(what)
            return None
        return self._guard.attempt(what, call)

    def log_config(self, config: ModelConfig, **tags: str) -> None:
        """Every key of the config as a parameter, and facts about the run as tags.

        A parameter stays as it was first written: what has changed since is in the tag ``config_changed``.
        """
        flat = _flat(config.model_dump(mode="json", by_alias=True))
        params = {mlflow_name(key): str(value)[:500] for key, value in flat.items()}

        def write() -> None:
            stored = self._client.get_run(self.run_id).data
            known = stored.params
            new = [Param(key, value) for key, value in params.items() if key not in known]
            for first in range(0, len(new), _PARAMS):
                self._client.log_batch(self.run_id, params=new[first : first + _PARAMS])
            changed = ", ".join(f"{key} = {value}" for key, value in params.items() if known.get(key, value) != value)
            if changed != stored.tags.get(_CHANGED, ""):
                self._client.set_tag(self.run_id, _CHANGED, changed[:_TAG])

        self.attempt("parameters", write)
        for key, value in tags.items():
            self.tag(key, value)

    def log_surroundings(self) -> None:
        """What the training runs on and from: machine, commit, Prefect's flow run, config and locked requirements."""
        for key, value in ({"hardware": hardware()} | git_tags() | flow_run_tags()).items():
            self.tag(key, value)
        for file in (self.run.path / "config.json", PROJECT / "requirements.lock"):
            if file.is_file():
                self.log_file(file)

    def log_dataset(self, csv: Path, *, digest: str, context: str) -> None:
        """A manifest as an input of the run: ``digest`` is the fingerprint, ``context`` ``training`` or the like."""

        def write() -> None:
            self._client.log_inputs(self.run_id, datasets=[dataset_input(csv, digest=digest, context=context)])

        self.attempt(f"dataset {csv.name}", write)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Measures that stand in no `metrics.jsonl`, written at once."""
        now = int(time.time() * 1000)
        batch = [Metric(mlflow_name(name), value, now, step) for name, value in metrics.items()]
        self.attempt("metrics", lambda: self._client.log_batch(self.run_id, metrics=batch))

    def log_folder(self, folder: Path, name: str) -> None:
        """Copy a folder to the run's artifacts."""
        self.attempt(name, lambda: self._client.log_artifacts(self.run_id, str(folder), name))

    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Copy a file to the run's artifacts."""
        self.attempt(file.name, lambda: self._client.log_artifact(self.run_id, str(file), folder))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder of the run's artifacts; where MLflow's store of artifacts cannot, it stays."""

        def remove() -> None:
            place = self._client.get_run(self.run_id).info.artifact_uri
            with suppress(NotImplementedError):
                get_artifact_repository(place, tracking_uri=tracking_uri()).delete_artifacts(folder)

        self.attempt(f"removal of {folder}", remove)

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        self.attempt(f"tag {key}", lambda: self._client.set_tag(self.run_id, key, value))

    def register(self, name: str, config: ModelConfig, step: int) -> str | None:
        """The run's model into the registry as the candidate; its version, or None if the store is gone.

        Args:
            name: Of the registered model.
            config: Of the model.
            step: Training step of the weights.
        """
        return self.attempt(
            "registered model", lambda: register_model(self.run, name, config, run_id=self.run_id, step=step)
        )

    def url(self) -> str:
        """Address of the run's page."""
        return page_address(self._experiment_id, self.run_id)

    def end(self, status: str) -> None:
        """Send what is kept and end the run: ``FINISHED``, ``FAILED`` or ``KILLED``; says what could not be sent."""
        num_unsent = self._spool.close() if self.run_id else 0
        if self._system is not None:
            self._system.stop()
        if self._status_is_ours or self.run.finished() is not None:
            self.attempt(f"status {status}", lambda: self._client.set_terminated(self.run_id, status))
            note_end_of_tracked_run(tracking_uri(), self.run_id)
        missed = list(dict.fromkeys(self._guard.missed))
        if num_unsent:
            missed.insert(0, f"{num_unsent} records of {self.run.metrics} (the next command on this run sends them)")
        self.is_whole = not missed
        if self._system is not None:
            with suppress(OSError):  # a full disk: the run is finished all the same, and the warning names them too
                forget_missed(self.run)
                if missed:
                    write_text(self.run.path / _MISSED_FILE, "\n".join(missed) + "\n")
        if missed:
            _logger.warning("not sent to MLflow's store at %s: %s", tracking_uri(), ", ".join(missed))


def missed_of(run: RunFolder) -> list[str]:
    """What MLflow's store did not take of a run's training, by the names of the warning at its end."""
    file = run.path / _MISSED_FILE
    return file.read_text("utf-8").splitlines() if file.is_file() else []


def forget_missed(run: RunFolder) -> None:
    """All that the store had missed has been sent."""
    (run.path / _MISSED_FILE).unlink(missing_ok=True)


@contextmanager
def tracked(run: RunFolder, name: str, *, training: bool = False) -> Iterator[TrackedRun]:
    """The MLflow run of a run folder while a stage works on it; it ends as the stage ends. See `TrackedRun`."""
    tracking = TrackedRun(run, name, training=training)
    try:
        yield tracking
    except KeyboardInterrupt:
        tracking.end("KILLED")
        raise
    except BaseException:
        tracking.end("FAILED")
        raise
    tracking.end("FINISHED")


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
