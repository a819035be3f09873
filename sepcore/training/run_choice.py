"""Choose the run folder of a training: the one it stopped in, a new one, or none because the config has changed."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sepcore.config.load import load_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import ConfigError, TrainingError
from sepcore.training.checkpoints import forget_selections, kept_steps
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import RunInputs

Keys = Mapping[str, Any]


@dataclass(frozen=True)
class _Past:
    """A run as its folder tells, beside the keys of a config that decide weights."""

    folder: RunFolder
    keys: Keys | None
    """`ModelConfig.deciding_keys` of its config; None if it has none yet, or one of a version with other keys."""
    init_from: str | None = None

    @classmethod
    def of(cls, folder: RunFolder) -> Self:
        try:
            config = load_config(folder.path)
        except ConfigError:
            return cls(folder, None)
        return cls(folder, config.deciding_keys(), config.init_from)

    @property
    def is_unfinished(self) -> bool:
        return bool(kept_steps(self.folder.checkpoints)) and self.folder.finished() is None

    def is_of_before(self, keys: Keys, init_from: str | None) -> bool:
        """Whether an earlier version has trained this config here; it knew initial weights by their name only."""
        begun = self.keys == keys and self.folder.inputs() is None and _is_begun(self.folder)
        return begun and self.init_from == init_from


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
    runs, keys = _runs(work_dir, name), config.deciding_keys()
    if not (fresh or force):
        _refuse_surprises(runs, keys, config.init_from)
    new = RunFolder.of(work_dir, name, config, inputs)
    numbered = (RunFolder(work_dir / f"{new.path.name}-{number}") for number in itertools.count(2))
    if fresh:
        return next(run for run in itertools.chain([new], numbered) if not run.path.exists())
    same = [run for run in runs if run.keys == keys and run.folder.inputs() == inputs]
    if not same and force:
        dataset = inputs.songs["training"]
        same = [run for run in runs if run.is_of_before(keys, config.init_from) and run.folder.dataset() == dataset]
        same = same or [run for run in runs if run.is_unfinished]
    # A folder of this name may hold the weights of another config, with which `force` went on in it.
    free = (run for run in itertools.chain([new], numbered) if not _is_begun(run))
    return same[-1].folder if same else next(free)


def check_unchanged(
    work_dir: Path, name: str, config: ModelConfig, *, fresh: bool = False, force: bool = False
) -> None:
    """Refuse to start what the user may not intend, before anything is written.

    Raises:
        TrainingError: one line with the ways on. No run of this config has been started while one of another is
            unfinished under the same name (the keys that differ are named); or the newest run of this config is of
            an earlier version, which did not note all that it was trained with.
    """
    if not (fresh or force):
        _refuse_surprises(_runs(work_dir, name), config.deciding_keys(), config.init_from)


def _refuse_surprises(runs: Sequence[_Past], keys: Keys, init_from: str | None) -> None:
    same = [run for run in runs if run.keys == keys]
    if same and same[-1].is_of_before(keys, init_from):
        raise TrainingError(
            "was trained by an earlier version, which did not record its validation songs",
            path=same[-1].folder.path,
            hint="Give --fresh (a new run beside it) or --force (take it as the run of these songs), or move it away.",
        )
    unfinished = [run for run in runs if run.is_unfinished]
    if not same and unfinished:
        folder, before = unfinished[-1].folder, unfinished[-1].keys
        # Where it has no such keys, the error of its config says why.
        differing = _differing(load_config(folder.path).deciding_keys() if before is None else before, keys)
        raise TrainingError(
            f"stopped at step {kept_steps(folder.checkpoints)[-1]} and was trained with {', '.join(differing)}",
            path=folder.path,
            hint="Put that back to resume, or give --fresh (a new run beside it) or --force (resume with what is set "
            "now).",
        )


def unfinished_run(work_dir: Path, name: str, config: ModelConfig) -> RunFolder | None:
    """The newest unfinished run of a config; it is resumed if its inputs are still the same."""
    keys = config.deciding_keys()
    runs = [run.folder for run in _runs(work_dir, name) if run.keys == keys and run.is_unfinished]
    return runs[-1] if runs else None


def what_is_new(work_dir: Path, name: str, config: ModelConfig, inputs: RunInputs) -> str | None:
    """How a run that is about to start differs from the newest one of its name; None if there is none."""
    runs = [run for run in _runs(work_dir, name) if _is_begun(run.folder)]
    if not runs:
        return None
    folder, keys = runs[-1].folder, runs[-1].keys
    before = folder.inputs()
    parts = [] if before is None else before.differences(inputs)
    if before is None and folder.dataset() != inputs.songs["training"]:
        parts.append("other training songs")
    parts += ["a config of another version"] if keys is None else _differing(keys, config.deciding_keys())
    return f"a new run: {folder.path} was trained with {', '.join(parts)}" if parts else None


def is_run_of(run: RunFolder, config: ModelConfig, inputs: RunInputs) -> bool:
    """Whether a run was last worked in with this config, as far as it decides weights, and these inputs."""
    return _Past.of(run).keys == config.deciding_keys() and run.inputs() == inputs


def begin(run: RunFolder, config: ModelConfig, inputs: RunInputs) -> None:
    """Training begins or goes on in a run; whoever calls it holds the run's lock.

    Validations of another config or other inputs are forgotten: no value compares with theirs, and none of their
    weights may be chosen. So are those of an earlier version, which did not note its inputs.
    """
    if not is_run_of(run, config, inputs):
        forget_selections(run.checkpoints)
    run.reopen()
    run.start(config, inputs)


def _runs(work_dir: Path, name: str) -> list[_Past]:
    """All runs of a name, in the order in which trainings last began in them; those of earlier versions come first.

    By a counter: a clock may jump, and a config's file is written again when keys of separation change.
    """
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}(-\d+)?")
    configs = [file for file in work_dir.glob("*/config.json") if pattern.fullmatch(file.parent.name)]
    ordered = sorted(configs, key=lambda file: (RunFolder(file.parent).turn(), file.stat().st_mtime_ns, str(file)))
    return [_Past.of(RunFolder(file.parent)) for file in ordered]


def _is_begun(run: RunFolder) -> bool:
    return bool(kept_steps(run.checkpoints)) or run.finished() is not None


def _differing(before: Keys, now: Keys, prefix: str = "") -> list[str]:
    """``learning_rate 0.0001 (now 0.0005)``, … for all keys that differ; a key at its default is in neither."""
    parts = []
    for key in sorted({*before, *now}):
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            parts += _differing(old, new, f"{prefix}{key}.")
        elif old != new:
            parts.append(f"{prefix}{key} {_shown(old)} (now {_shown(new)})")
    return parts


def _shown(value: Any) -> str:
    return "as by default" if value is None else json.dumps(value)
