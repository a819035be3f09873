"""Choose the run folder of a training: the one it stopped in, a new one, or none because the config has changed."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

from sepcore.config.load import load_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import ConfigError, TrainingError
from sepcore.training.checkpoints import forget_selections, kept_steps
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import RunInputs


def choose_run(
    work_dir: Path, name: str, config: ModelConfig, inputs: RunInputs, *, fresh: bool = False, force: bool = False
) -> RunFolder:
    """The folder in which a config is trained.

    Args:
        work_dir: Folder of the runs.
        name: The model's.
        config: What to train.
        inputs: What on.
        fresh: Start anew, in a folder beside those of before.
        force: Go on in an unfinished run of another config or other songs, or take an earlier version's run as it is.

    Returns:
        The newest folder of this config and these inputs. If there is none, with ``force`` the one in which an earlier
        version trained this config on these songs, or else the newest unfinished one of the name. Otherwise a new one.

    Raises:
        TrainingError: see `check_unchanged`.
    """
    check_unchanged(work_dir, name, config, fresh=fresh, force=force)
    new = RunFolder.of(work_dir, name, config, inputs)
    numbered = (RunFolder(work_dir / f"{new.path.name}-{number}") for number in itertools.count(2))
    if fresh:
        return next(run for run in itertools.chain([new], numbered) if not run.path.exists())
    runs = _runs(work_dir, name)
    same = [run for run in runs if is_run_of(run, config, inputs)]
    if not same and force:
        same = [run for run in runs if _is_of_before(run, config) and run.dataset() == inputs.songs["training"]]
        same = same or list(filter(_is_unfinished, runs))
    # A folder of this name may hold the weights of another config, with which `force` went on in it.
    return same[-1] if same else next(run for run in itertools.chain([new], numbered) if not _is_begun(run))


def check_unchanged(
    work_dir: Path, name: str, config: ModelConfig, *, fresh: bool = False, force: bool = False
) -> None:
    """Refuse to start what the user may not intend, before anything is written.

    Raises:
        TrainingError: one line with the ways on. No run of this config has been started while one of another is
            unfinished under the same name (the keys that differ are named); or the newest run of this config is of
            an earlier version, which did not note all that it was trained with.
    """
    if fresh or force:
        return
    runs = _runs(work_dir, name)
    same = [run for run in runs if _has_config(run, config)]
    if same and _is_of_before(same[-1], config):
        raise TrainingError(
            "was trained by an earlier version, which did not record its validation songs",
            path=same[-1].path,
            hint="Give --fresh (a new run beside it) or --force (take it as the run of these songs), or move it away.",
        )
    unfinished = list(filter(_is_unfinished, runs))
    if not same and unfinished:
        run = unfinished[-1]
        differing = _differing(load_config(run.path).deciding_keys(), config.deciding_keys())
        raise TrainingError(
            f"stopped at step {kept_steps(run.checkpoints)[-1]} and was trained with {differing}",
            path=run.path,
            hint="Put that back to resume, or give --fresh (a new run beside it) or --force (resume with what is set "
            "now).",
        )


def unfinished_run(work_dir: Path, name: str, config: ModelConfig) -> RunFolder | None:
    """The newest unfinished run of a config; it is resumed if its inputs are still the same."""
    runs = [run for run in _runs(work_dir, name) if _is_unfinished(run) and _has_config(run, config)]
    return runs[-1] if runs else None


def what_is_new(work_dir: Path, name: str, config: ModelConfig, inputs: RunInputs) -> str | None:
    """How a run that is about to start differs from the newest one of its name; None if there is none."""
    runs = [run for run in _runs(work_dir, name) if _is_begun(run)]
    if not runs:
        return None
    before = runs[-1].inputs()
    parts = [] if before is None else before.differences(inputs)
    if before is None and runs[-1].dataset() != inputs.songs["training"]:
        parts.append("other training songs")
    try:
        parts += _differing_parts(load_config(runs[-1].path).deciding_keys(), config.deciding_keys())
    except ConfigError:
        parts.append("a config of another version")
    return f"a new run: {runs[-1].path} was trained with {', '.join(parts)}" if parts else None


def is_run_of(run: RunFolder, config: ModelConfig, inputs: RunInputs) -> bool:
    """Whether a run was last worked in with this config, as far as it decides weights, and these inputs."""
    return _has_config(run, config) and run.inputs() == inputs


def begin(run: RunFolder, config: ModelConfig, inputs: RunInputs) -> None:
    """Training begins or goes on in a run; whoever calls it holds the run's lock.

    Validations of another config or other inputs are forgotten: no value compares with theirs, and none of their
    weights may be chosen. So are those of an earlier version, which did not note its inputs.
    """
    if not is_run_of(run, config, inputs):
        forget_selections(run.checkpoints)
    run.reopen()
    run.start(config, inputs)


def _runs(work_dir: Path, name: str) -> list[RunFolder]:
    """All runs of a name, in the order in which trainings last began in them; those of earlier versions come first.

    By a counter: a clock may jump, and a config's file is written again when keys of separation change.
    """
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}(-\d+)?")
    configs = [file for file in work_dir.glob("*/config.json") if pattern.fullmatch(file.parent.name)]
    ordered = sorted(configs, key=lambda file: (RunFolder(file.parent).turn(), file.stat().st_mtime_ns, str(file)))
    return [RunFolder(file.parent) for file in ordered]


def _has_config(run: RunFolder, config: ModelConfig) -> bool:
    try:
        return load_config(run.path).deciding_keys() == config.deciding_keys()
    except ConfigError:  # of a version with other keys, or not there yet
        return False


def _is_of_before(run: RunFolder, config: ModelConfig) -> bool:
    """Whether an earlier version has trained this config here; it knew initial weights by their name only."""
    begun = run.inputs() is None and _is_begun(run) and _has_config(run, config)
    return begun and load_config(run.path).init_from == config.init_from


def _is_begun(run: RunFolder) -> bool:
    return bool(kept_steps(run.checkpoints)) or run.finished() is not None


def _is_unfinished(run: RunFolder) -> bool:
    return bool(kept_steps(run.checkpoints)) and run.finished() is None


def _differing(before: dict[str, Any], now: dict[str, Any]) -> str:
    return ", ".join(_differing_parts(before, now))


def _differing_parts(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """``learning_rate 0.0001 (now 0.0005)``, … for all keys that differ; a key at its default is in neither."""
    parts = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            parts += _differing_parts(old, new, f"{prefix}{key}.")
        elif old != new:
            parts.append(f"{prefix}{key} {_shown(old)} (now {_shown(new)})")
    return parts


def _shown(value: Any) -> str:
    return "as by default" if value is None else json.dumps(value)
