"""MLflow: where its store is, which run belongs to a run folder, and metrics written in batches."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sepcore.atomic import write_text
from sepcore.config import ModelConfig
from sepcore.training.run_folder import RunFolder

# Before MLflow is imported: it would look up its makers' host, and warn three times where there is no git.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import mlflow
from mlflow.entities import Metric, Param, RunStatus

_STORE = "mlflow.db"
_ARTIFACTS = "mlruns"
_RUN_ID_FILE = "mlflow_run_id"
# One call writes this many metrics: a call costs about 15 ms, a metric in it 0.2 ms.
_BATCH = 200


def tracking_uri() -> str:
    """``MLFLOW_TRACKING_URI``, else the store in the working directory, which a plain ``mlflow ui`` there shows."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path(_STORE).absolute()}"


def _client() -> mlflow.MlflowClient:
    return mlflow.MlflowClient(tracking_uri())


def _experiment(client: mlflow.MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Beside the store, wherever that is; a tracking server has a place of its own.
    local = tracking_uri().startswith("sqlite:///")
    artifacts = Path(tracking_uri().removeprefix("sqlite:///")).parent / _ARTIFACTS if local else None
    return str(client.create_experiment(name, artifact_location=artifacts.as_uri() if artifacts else None))


class TrackedRun:
    """The MLflow run of a run folder: made once, gone on with when the training goes on."""

    def __init__(self, run: RunFolder, name: str) -> None:
        self._client = _client()
        self._metrics: list[Metric] = []
        marker = run.path / _RUN_ID_FILE
        if marker.is_file() and self._exists(marker.read_text("utf-8")):
            self.run_id = marker.read_text("utf-8")
            self._client.update_run(self.run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        else:
            created = self._client.create_run(_experiment(self._client, name), run_name=run.path.name)
            self.run_id = str(created.info.run_id)
            write_text(marker, self.run_id)

    def _exists(self, run_id: str) -> bool:
        try:
            self._client.get_run(run_id)
        except mlflow.exceptions.MlflowException:
            return False
        return True

    def log_config(self, config: ModelConfig, **tags: str) -> None:
        """Every key of the config as a parameter, and facts about the run as tags."""
        known = self._client.get_run(self.run_id).data.params
        params = {key: str(value)[:500] for key, value in _flat(config.model_dump(mode="json", by_alias=True)).items()}
        new = [Param(key, value) for key, value in params.items() if key not in known]
        self._client.log_batch(self.run_id, params=new)
        for key, value in tags.items():
            self._client.set_tag(self.run_id, key, value)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Keep metrics for the next batch; `flush` writes what is kept."""
        now = int(time.time() * 1000)
        self._metrics += [Metric(name, value, now, step) for name, value in metrics.items()]
        if len(self._metrics) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write the metrics that are kept."""
        batch, self._metrics = self._metrics, []
        if batch:
            self._client.log_batch(self.run_id, metrics=batch)

    def log_folder(self, folder: Path, name: str) -> None:
        """Copy a folder to the run's artifacts."""
        self._client.log_artifacts(self.run_id, str(folder), name)

    def log_file(self, file: Path) -> None:
        """Copy a file to the run's artifacts."""
        self._client.log_artifact(self.run_id, str(file))

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""
        self._client.set_tag(self.run_id, key, value)

    def end(self, status: str) -> None:
        """Write what is kept and end the run: ``FINISHED``, ``FAILED`` or ``KILLED``."""
        self.flush()
        self._client.set_terminated(self.run_id, status)


@contextmanager
def tracked(run: RunFolder, name: str) -> Iterator[TrackedRun]:
    """The MLflow run of a run folder while a stage works on it; it ends as the stage ends."""
    tracking = TrackedRun(run, name)
    try:
        yield tracking
    except KeyboardInterrupt:
        tracking.end("KILLED")
        raise
    except BaseException:
        tracking.end("FAILED")
        raise
    tracking.end("FINISHED")


def run_folder_of(run_id: str) -> Path | None:
    """The folder of an MLflow run that this project made, or None."""
    try:
        folder = _client().get_run(run_id).data.tags.get("run_folder")
    except mlflow.exceptions.MlflowException:
        return None
    return Path(folder) if folder else None


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
