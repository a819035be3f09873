"""Facts about a training, for MLflow and the model card: commit, machine, flow run, songs, how it ended."""

import platform
import subprocess
import warnings
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import psutil
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT
from prefect.runtime import flow_run
from prefect.utilities.urls import url_for

from sepcore.config.load import model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.manifest import manifest_name
from sepcore.system.threads import num_cores
from sepcore.system.urls import shown
from sepcore.training.run_record import TrainingResult

PROJECT = Path(__file__).resolve().parents[2]
"""The checkout, if the project runs from one; else the folder that it is installed in."""


def git_tags(project: Path = PROJECT) -> dict[str, str]:
    """The commit of a checkout (the tag that MLflow shows), and whether tracked files differ; {} without git."""
    if not (project / ".git").exists():
        return {}
    commit, changes = _git(project, "rev-parse", "HEAD"), _git(project, "status", "--porcelain", "--untracked-files=no")
    if not commit or changes is None:
        return {}
    return {"mlflow.source.git.commit": commit, "git_dirty": str(bool(changes)).lower()}


def code_facts(project: Path = PROJECT) -> dict[str, str]:
    """The version and the commit that run, for a model card and to train again."""
    tags = git_tags(project)
    facts = {"version": version("stemworks")}
    if tags:
        changed = " and changes that are not in it" if tags["git_dirty"] == "true" else ""
        facts["commit"] = tags["mlflow.source.git.commit"] + changed
    return facts


def card_facts(config: ModelConfig, csv: Path, training: ChunkIndex, result: TrainingResult) -> dict[str, str]:
    """Facts about a training for the model card, without paths of this machine.

    Args:
        config: Of the model.
        csv: The manifest of the training songs.
        training: Their chunks.
        result: The end of the training.
    """
    facts = {
        "songs": str(training.num_songs),
        "manifest": manifest_name(csv),
        "weights": str(result.model_step),
        "hardware": hardware(),
    }
    if result.choice_note:
        facts["model_choice"] = result.choice_note
    if config.init_from is not None:
        facts["init_from"] = model_name(config.init_from)
    return facts | code_facts()


def _git(project: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(project), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def hardware() -> str:
    """The machine in words: processor, cores that may be used, memory, and the GPUs that TensorFlow sees."""
    import tensorflow as tf

    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    gpus = [
        str(tf.config.experimental.get_device_details(device).get("device_name", device.name))
        for device in tf.config.list_physical_devices("GPU")
    ]
    return ", ".join([_processor(), f"{num_cores()} cores", memory, *gpus])


def _processor() -> str:
    names = Path("/proc/cpuinfo")  # Linux says nothing better than x86_64 through `platform`
    lines = names.read_text("utf-8", "replace").splitlines() if names.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def flow_run_tags() -> dict[str, str]:
    """The Prefect flow run that this is called in, and its page if Prefect's UI is known; {} outside a flow."""
    run_id = flow_run.id
    if run_id is None:
        return {}
    page = url_for("flow-run", obj_id=run_id)
    return {"prefect.flow_run": str(run_id)} | ({"prefect.flow_run_url": shown(page)} if page else {})


def dataset_input(csv: Path, digest: str, context: str) -> DatasetInput:
    """A manifest, described by its columns and number of songs."""
    with warnings.catch_warnings():
        # Of integer columns, which may be missing where a model predicts from a table; and of a local path, for which
        # MLflow knows the same kind of source twice.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"mlflow\.")
        table = from_pandas(pd.read_csv(csv), source=str(csv.absolute()), name=csv.stem, digest=digest)
        content = table.to_dict()
    return DatasetInput(Dataset(**content), [InputTag(MLFLOW_DATASET_CONTEXT, context)])
