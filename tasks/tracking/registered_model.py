"""A trained model in MLflow's registry: waveform in, stems out, with its weights, code and requirements."""

import re
import warnings
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import Model, ModelSignature
from mlflow.models.model import ModelInfo
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.types.schema import ColSpec, Schema, TensorSpec

import sepcore
from sepcore.config.model_config import ModelConfig
from sepcore.training.run_folder import RunFolder
from tasks.tracking import tracking_uri
from tasks.tracking.store import store_client

# Alias of the version that was registered last.
_CANDIDATE = "candidate"
_STEP = "model_step"
_CODE = Path(__file__).with_name("separation_model.py")
# Imports of `sepcore.separation.separator`; MLflow would run the model for 15 s to find out.
_PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "pydantic",
    "ffmpeg-python",
    "soundfile",
    "httpx",
    "filelock",
    "psutil",
    "norbert",
)


def register_model(run: RunFolder, name: str, config: ModelConfig, *, run_id: str, step: int) -> str:
    """Log the model of a finished training to its MLflow run and make it the candidate.

    Args:
        run: Holds ``config.json`` and ``model/``.
        name: Name of the model, see `registered_name`.
        config: Of the model.
        run_id: MLflow's id of the run.
        step: Training step of the weights.

    Returns:
        The version's number. Raises what MLflow raises.
    """
    # `Model.log` knows no other way to say which store; the variable MLFLOW_TRACKING_URI is set by it as well.
    mlflow.set_tracking_uri(tracking_uri())
    with warnings.catch_warnings():
        # MLflow wants an example and type hints, to infer the signature that it is given here, and warns of types in
        # its own chat agents.
        warnings.simplefilter("ignore", UserWarning)
        logged = _log(run, config, run_id, step)
    client, registered = store_client(), registered_name(name)
    try:
        client.create_registered_model(registered)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise
    made = client.create_model_version(
        registered,
        logged.model_uri,
        run_id,
        tags={"run_folder": run.path.name, _STEP: str(step)},
        model_id=logged.model_id,
    )
    client.set_registered_model_alias(registered, _CANDIDATE, str(made.version))
    return str(made.version)


def version_of(run_id: str, name: str, step: int) -> ModelVersion | None:
    """The newest registered version of a run's weights after ``step`` steps; raises what MLflow raises."""
    found = store_client().search_model_versions(f"name='{registered_name(name)}'")
    # Versions that earlier releases of this project registered do not name their step.
    same = (one for one in found if one.run_id == run_id and one.tags.get(_STEP, str(step)) == str(step))
    return max(same, key=lambda one: int(one.version), default=None)


def registered_name(name: str) -> str:
    """A model's name in the registry: characters that MLflow does not allow become ``-``."""
    return re.sub(r"[/:]", "-", name)


def _log(run: RunFolder, config: ModelConfig, run_id: str, step: int) -> ModelInfo:
    logged: ModelInfo = Model.log(
        artifact_path=None,
        name="separator",
        flavor=mlflow.pyfunc,
        run_id=run_id,
        step=step,
        python_model=str(_CODE),
        code_paths=[str(Path(sepcore.__file__).parent)],
        artifacts={"config": str(run.path / "config.json"), "model": str(run.model)},
        signature=_signature(config),
        pip_requirements=[f"{package}=={version(package)}" for package in _PACKAGES],
        metadata={"sample_rate": config.sample_rate, "instruments": list(config.instruments)},
    )
    return logged


def _signature(config: ModelConfig) -> ModelSignature:
    waveform = np.dtype(np.float32), (-1, config.num_channels)
    stems: list[ColSpec | TensorSpec] = [TensorSpec(*waveform, name=instrument) for instrument in config.instruments]
    return ModelSignature(inputs=Schema([TensorSpec(*waveform)]), outputs=Schema(stems))
