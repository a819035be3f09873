"""The MLflow run of a run folder: made once, and reopened when the training is resumed."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import LifecycleStage, Metric, Param, Run, RunStatus
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrackingError
from sepcore.system.atomic import write_text
from sepcore.training.run_folder import RunFolder
from tasks.dead_runs import note_end_of_tracked_run, note_tracked_run
from tasks.tracking import tracking_uri
from tasks.tracking.metrics import MetricsSender, SystemMetrics, mlflow_name
from tasks.tracking.registered_model import register_model, version_of
from tasks.tracking.run_facts import PROJECT, dataset_input, flow_run_tags, git_tags, hardware
from tasks.tracking.store import (
    StoreGuard,
    check_store,
    experiment_id,
    page_address,
    store_client,
    stored_run,
    unusable,
)

_logger = logging.getLogger(__name__)
_RUN_ID_FILE = "mlflow_run_id"
_CHANGED = "config_changed"
_SENT = "sent_steps"
# MLflow's limits of a call and of a tag.
_PARAMS, _TAG = 100, 5000


class TrackedRun:
    """The MLflow run of a run folder.

    What is written to it never raises: a store that goes away is logged once. Records of the run's `metrics.jsonl` are
    sent without being asked for, those of a ``training`` while it runs.

    Args:
        run: The run folder; it keeps the id of its MLflow run.
        name: Of the model: the experiment's.
        training: Whether a training begins or goes on; otherwise something is added to its run.

    Attributes:
        missed: What the store did not take, by name; all of it once the run has ended.

    Raises:
        TrackingError: ``training`` begins and the store does not answer, or there can be no run in it. What is added
            later is worth less than the work before it: it gets a warning.
    """

    def __init__(self, run: RunFolder, name: str, *, training: bool = False) -> None:
        self.run = run
        self.missed: list[str] = []
        self._guard = StoreGuard(f"measures are kept in {run.metrics} and sent when it is back, or by the next command")
        self.run_id = _run_id(run)
        self._experiment_id = ""
        self._status_is_ours = training
        try:
            self._attach(name, training)
        except TrackingError as error:
            if training:
                raise
            self._guard.failed("a run", error.__cause__ if isinstance(error.__cause__, Exception) else error)
        self._system = SystemMetrics(self.run_id) if training else None
        # MLflow's monitor of the machine gives up when the store fails once.
        restart = self._system.start if self._system is not None else lambda: None
        self._sender = MetricsSender(self.run_id, run.metrics, self._guard, after_send=restart)
        if self._system is not None:
            self._system.start()
            self._sender.start()

    @property
    def _client(self) -> mlflow.MlflowClient:
        return store_client()  # MLflow keeps the connection

    def _attach(self, name: str, training: bool) -> None:
        check_store()
        try:
            stored = self._stored()
            if stored is None:
                self._status_is_ours = True
                stored = self._client.create_run(experiment_id(self._client, name), run_name=self.run.path.name)
                write_text(self.run.path / _RUN_ID_FILE, str(stored.info.run_id))
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
        stored = stored_run(self.run_id) if self.run_id else None
        return stored if stored and stored.info.lifecycle_stage == LifecycleStage.ACTIVE else None

    def attempt(self, what: str, call: Callable[[], object]) -> None:
        """Do something with the store; a warning at the run's end names ``what`` if it failed."""
        # Without an id the store was gone when the run should have been made.
        if not self.run_id or not self._guard.attempt(what, call):
            self.missed.append(what)

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
        """A manifest as an input of the run.

        Args:
            csv: The manifest; its absolute path is kept as the dataset's source.
            digest: Fingerprint of what was made of it, at most 36 characters.
            context: ``training``, ``validation`` or ``test``.
        """

        def write() -> None:
            self._client.log_inputs(self.run_id, datasets=[dataset_input(csv, digest, context)])

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
                repository = get_artifact_repository(place, tracking_uri=tracking_uri())
                repository.delete_artifacts(folder)  # type: ignore[no-untyped-call]  # MLflow's has no types

        self.attempt(f"removal of {folder}", remove)

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        self.attempt(f"tag {key}", lambda: self._client.set_tag(self.run_id, key, value))

    def register(self, name: str, config: ModelConfig, step: int, *, unless_there: bool = False) -> None:
        """The run's model into the registry as the candidate.

        Args:
            name: Of the registered model.
            config: Of the model.
            step: Training step of the weights.
            unless_there: Only if the registry does not have these weights of the run.
        """

        def register() -> None:
            if not unless_there or version_of(self.run_id, name, step) is None:
                register_model(self.run, name, config, run_id=self.run_id, step=step)

        self.attempt("registered model", register)

    def url(self) -> str:
        """Address of the run's page."""
        return page_address(self._experiment_id, self.run_id)

    def end(self, status: str) -> None:
        """Send what is left and end the run: ``FINISHED``, ``FAILED`` or ``KILLED``. Logs what could not be sent."""
        left = self._sender.close() if self.run_id else 0
        if self._system is not None:
            self._system.stop()
        if self._status_is_ours or self.run.finished() is not None:
            self.attempt(f"status {status}", lambda: self._client.set_terminated(self.run_id, status))
            note_end_of_tracked_run(tracking_uri(), self.run_id)
        if left != 0:
            records = f"records of {self.run.metrics}" + (" that it lacks" if left is None else "")
            number = "" if left is None else f"{left} "
            self.missed.insert(0, f"{number}{records} (the next command on this run sends them)")
        if self.missed:
            missed = ", ".join(dict.fromkeys(self.missed))
            _logger.warning("not sent to MLflow's store at %s: %s", tracking_uri(), missed)

    def note_all_sent(self, steps: int) -> None:
        """Note in the ended run that it has all of a training of so many steps, but for facts about the machine.

        Not if any of it was missed. Those facts, and the commit, are sent only while the training runs.
        """
        if not self.missed:
            self.tag(_SENT, str(steps))


def is_all_sent(run: RunFolder, steps: int) -> bool:
    """Whether the store has what can be sent of a finished training, as `TrackedRun.note_all_sent` noted there.

    True of a run that was never tracked, and of one that this store does not know: it was tracked in another, where it
    stays. False if the store does not answer.
    """
    run_id = _run_id(run)
    try:
        stored = stored_run(run_id) if run_id else None
    except Exception as error:  # MLflow lets through what its database or HTTP library raises
        _logger.info("MLflow's store does not tell what it has of %s: %s", run.path, error)
        return False
    if stored is None:
        if run_id:
            _logger.info("%s: its MLflow run %s is in another store than %s", run.path, run_id, tracking_uri())
        return True
    return bool(stored.data.tags.get(_SENT) == str(steps))


def _run_id(run: RunFolder) -> str:
    """MLflow's id of a run; empty if it was never tracked."""
    file = run.path / _RUN_ID_FILE
    return file.read_text("utf-8") if file.is_file() else ""


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
