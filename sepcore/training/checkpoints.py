"""Everything that training needs to resume exactly where it stopped, in one file per kept step."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from sepcore.errors import CheckpointError, TrainingError
from sepcore.system.atomic import atomic_path, remove_leftovers, write_text
from sepcore.system.os_errors import fix_for, reason_of
from sepcore.training.selection import Selection

_KEPT = 2  # as Spleeter keeps
_NAME = re.compile(r"step-(\d+)\.npz")


def _variables(network: Any) -> list[Any]:
    # Weights, states of random generators, and the optimizer's step, rate and slots, in the order of creation.
    return [*network.variables, *network.optimizer.variables]


def kept_steps(folder: Path) -> list[int]:
    """Steps of which there is a checkpoint, in rising order."""
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, (file.name for file in folder.glob("*"))) if match)


def save_training_state(network: Any, folder: Path, *, step: int) -> None:
    """Write the state of a compiled network after ``step`` steps, whole or not at all, and drop the oldest kept one.

    Raises:
        TrainingError: if a variable is not finite any more; the checkpoints before are kept.
        OSError: if the disk takes no more; likewise.
    """
    arrays = {f"{index:05d}": np.asarray(variable) for index, variable in enumerate(_variables(network))}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        # The loss was finite, the update was not: such weights must not replace the last good ones.
        raise TrainingError(
            f"step {step}: weights are not finite any more",
            hint=f"Lower learning_rate or set clip_norm. The last good checkpoint is kept in {folder}.",
        )
    remove_leftovers(folder)
    with atomic_path(folder / f"step-{step}.npz") as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
    for old in kept_steps(folder)[:-_KEPT]:
        (folder / f"step-{old}.npz").unlink()
        _selection_file(folder, old).unlink(missing_ok=True)


def _selection_file(folder: Path, step: int) -> Path:
    return folder / f"step-{step}.json"


def save_selection(selection: Selection, folder: Path, *, step: int) -> None:
    """Write the state of the validations beside a checkpoint, whose step then needs no validation again."""
    write_text(_selection_file(folder, step), selection.to_json())


def forget_selections(folder: Path) -> None:
    """Delete the state of validations that were made with another config or inputs: their values do not compare."""
    for step in kept_steps(folder):
        _selection_file(folder, step).unlink(missing_ok=True)


def restore_selection(folder: Path, step: int) -> tuple[Selection, bool]:
    """The state of the validations at a checkpoint.

    Returns:
        The newest selection up to ``step``, and whether it is that step's: otherwise its training stopped before the
        validation there was finished.
    """
    steps = [kept for kept in kept_steps(folder) if kept <= step and _selection_file(folder, kept).is_file()]
    if not steps:
        return Selection(), False
    return Selection.from_json(_selection_file(folder, steps[-1]).read_text("utf-8")), steps[-1] == step


def restore_training_state(network: Any, folder: Path) -> int:
    """Put the newest state in ``folder`` into a compiled network whose optimizer is built.

    Returns:
        Its step; 0 if there is none, and the network is as it was.

    Raises:
        CheckpointError: if the file is damaged or belongs to another network.
    """
    steps = kept_steps(folder)
    if not steps:
        return 0
    path = folder / f"step-{steps[-1]}.npz"
    variables = _variables(network)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = [stored[name] for name in sorted(stored.files)]
    except OSError as error:
        hint = f"{fix_for(error, reading=True)}, or delete it to resume from the one before."
        raise CheckpointError(
            f"cannot be read ({reason_of(error)})", path=path, hint=hint, errno=error.errno
        ) from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"damaged ({error})", path=path, hint="Delete it to resume from the one before."
        ) from error
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise CheckpointError(
            "belongs to another network than the config's",
            path=path,
            hint="Put the config back, or give --fresh (a new run beside it).",
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return steps[-1]
