"""What a command works on, found and checked before Prefect is imported and starts a server, which takes long."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sepcore.config.choices import NumChunks
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.manifest import check_columns
from sepcore.errors import ConfigError, DatasetError
from sepcore.signal.ffmpeg import find_program

if TYPE_CHECKING:
    from sepcore.training.run_folder import RunFolder

MUSDB_PATH = "MUSDB_PATH"
"""The environment's variable with the folder of a MUSDB set."""
MUSDB_OF_ENVIRONMENT = Path(f"${MUSDB_PATH}")
"""Stands for the set that ``MUSDB_PATH`` names where a run starts, and for none where it is not set."""

_MLFLOW_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class PartToCache:
    """One manifest, the folder of its shards, and how many chunks each song gives."""

    name: str
    csv: Path
    folder: Path
    num_chunks: NumChunks


def parts_to_cache(
    config: ModelConfig, *, train_csv: Path | None = None, validation_csv: Path | None = None
) -> tuple[PartToCache, PartToCache]:
    """The songs to train on and to validate with, ``training`` and ``validation``.

    Args:
        config: Names the manifests and the folders.
        train_csv: Instead of the config's.
        validation_csv: Instead of the config's.

    Raises:
        ConfigError: if the config names no manifest, or its chunks are shorter than its segments.
    """
    check_trainable(config)
    training = _manifest("train_csv", train_csv or config.train_csv)
    validation = _manifest("validation_csv", validation_csv or config.validation_csv)
    of_validation: NumChunks = "all" if config.chunks_per_song == "all" else 1
    return (
        PartToCache("training", training, Path(config.training_cache), config.chunks_per_song),
        PartToCache("validation", validation, Path(config.validation_cache), of_validation),
    )


def _manifest(key: str, csv: str | Path | None) -> Path:
    if csv is None:
        raise ConfigError(f"the config has no {key}", hint="Set it to a CSV, or pass --musdb-root to flows.train.")
    return Path(csv)


def check_manifests(config: ModelConfig) -> None:
    """Check the headers of the config's manifests; the dataset check looks at their rows."""
    for part in parts_to_cache(config):
        check_columns(part.csv, config)


def check_trainable(config: ModelConfig) -> None:
    """Refuse a config whose chunks are shorter than its segments."""
    try:
        config.check_trainable()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def musdb_of(musdb_root: Path | None, *, instead: Path | None = None) -> Path | None:
    """The MUSDB set that is meant: the given one, or the environment's unless there are other songs ``instead``."""
    if musdb_root != MUSDB_OF_ENVIRONMENT:
        return musdb_root
    named = os.environ.get(MUSDB_PATH)
    return Path(named) if named and instead is None else None


def manifests_of_musdb(musdb_root: Path, name: str) -> Path:
    """Folder of the manifests of a MUSDB set for the model of this name."""
    return Path("data") / f"{musdb_root.resolve().name}-{name}"


def check_musdb_folder(root: Path, subset: str) -> None:
    """Refuse a folder whose ``subset`` (train or test) holds nothing; its songs are looked at later."""
    if not any((root / subset).glob("*")):
        hint = "Give the folder of MUSDB18 or MUSDB18-HQ."
        raise DatasetError(f"has no songs in a folder {subset}", path=root, hint=hint)


def check_ffmpeg() -> None:
    """Refuse to start without ffmpeg and ffprobe."""
    for program in ("ffmpeg", "ffprobe"):
        find_program(program)


def resolve_run(run: str, work_dir: Path) -> "RunFolder":
    """A run by its folder, its name in ``work_dir``, or its MLflow run id; TrainingError if there is none."""
    from sepcore.training.run_folder import find_run  # imports NumPy

    if not _MLFLOW_ID.fullmatch(run) or Path(run).exists():
        return find_run(run, work_dir)
    from tasks.tracking.store import run_folder_of  # imports MLflow, which takes seconds

    return find_run(run_folder_of(run) or run, work_dir)
