"""Which run folder a training works in: the one it stopped in, a fresh one, or none since the config has changed."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

from sepcore.config import ModelConfig
from sepcore.config_file import load_config
from sepcore.errors import ConfigError, TrainingError
from sepcore.training.checkpoints import kept_steps
from sepcore.training.run_folder import RunFolder


def choose_run(
    work_dir: Path, name: str, config: ModelConfig, dataset: str, *, fresh: bool = False, force: bool = False
) -> RunFolder:
    """The folder in which a config is trained on a dataset.

    Args:
        work_dir: Folder of the runs.
        name: The model's.
        config: What to train.
        dataset: Fingerprint of the training chunks.
        fresh: Start anew, in a folder beside those of before.
        force: Go on in an unfinished run of another config.

    Returns:
        The newest folder of this config and dataset; if there is none, with ``force`` the newest unfinished one of the
        name, else a new one.

    Raises:
        TrainingError: see `check_unchanged`.
    """
    check_unchanged(work_dir, name, config, fresh=fresh, force=force)
    new = RunFolder.of(work_dir, name, config, dataset)
    if fresh:
        numbered = (RunFolder(work_dir / f"{new.path.name}-{number}") for number in itertools.count(2))
        return next(run for run in itertools.chain([new], numbered) if not run.path.exists())
    same = [run for run in _runs(work_dir, name) if _is_of(run, config, dataset)]
    if same:
        return same[-1]
    unfinished = _unfinished(work_dir, name)
    return unfinished[-1] if force and unfinished else new


def check_unchanged(
    work_dir: Path, name: str, config: ModelConfig, *, fresh: bool = False, force: bool = False
) -> None:
    """Refuse a config of which no run has been started while one of another is unfinished under the same name.

    Raises:
        TrainingError: one line with the keys that differ and the ways on.
    """
    if fresh or force or any(_is_of(run, config) for run in _runs(work_dir, name)):
        return
    unfinished = _unfinished(work_dir, name)
    if unfinished:
        run = unfinished[-1]
        differing = _differing(load_config(run.path).deciding_keys(), config.deciding_keys())
        raise TrainingError(
            f"{run.path}: stopped at step {kept_steps(run.checkpoints)[-1]} and was trained with {differing}; "
            "put that back to go on, or give --fresh (a new run beside it) or --force (go on with what is set now)."
        )


def _runs(work_dir: Path, name: str) -> list[RunFolder]:
    """All runs of a name, in the order in which their configs were written."""
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}(-\d+)?")
    configs = [file for file in work_dir.glob("*/config.json") if pattern.fullmatch(file.parent.name)]
    return [RunFolder(file.parent) for file in sorted(configs, key=lambda file: (file.stat().st_mtime_ns, str(file)))]


def _is_of(run: RunFolder, config: ModelConfig, dataset: str | None = None) -> bool:
    if dataset is not None and run.dataset() != dataset:
        return False
    try:
        return load_config(run.path).deciding_keys() == config.deciding_keys()
    except ConfigError:  # of a version with other keys
        return False


def _unfinished(work_dir: Path, name: str) -> list[RunFolder]:
    return [run for run in _runs(work_dir, name) if kept_steps(run.checkpoints) and run.finished() is None]


def _differing(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> str:
    """``learning_rate 0.0001 (now 0.0005)``, … for all keys that differ; a key at its default is in neither."""
    parts = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            if inner := _differing(old, new, f"{prefix}{key}."):
                parts.append(inner)
        elif old != new:
            parts.append(f"{prefix}{key} {_shown(old)} (now {_shown(new)})")
    return ", ".join(parts)


def _shown(value: Any) -> str:
    return "as by default" if value is None else json.dumps(value)
