"""Everything that training needs to go on exactly where it stopped, in one file per kept step."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from sepcore.atomic import atomic_path, remove_leftovers
from sepcore.errors import CheckpointError

_KEPT = 2  # as Spleeter keeps
_NAME = re.compile(r"step-(\d+)\.npz")


def _variables(network: Any) -> list[Any]:
    # Weights, states of random generators, and the optimizer's step, rate and slots, in the order of creation.
    return [*network.variables, *network.optimizer.variables]


def kept_steps(folder: Path) -> list[int]:
    """Steps of which there is a checkpoint, in rising order."""
    return sorted(int(match[1]) for match in map(_NAME.fullmatch, (file.name for file in folder.glob("*"))) if match)


def save_training_state(network: Any, folder: Path, *, step: int) -> None:
    """Write the state of a compiled network after ``step`` steps, whole or not at all, and drop the oldest kept one."""
    arrays = {f"{index:05d}": np.asarray(variable) for index, variable in enumerate(_variables(network))}
    remove_leftovers(folder)
    with atomic_path(folder / f"step-{step}.npz") as temporary:
        np.savez(temporary, allow_pickle=False, **arrays)
    for old in kept_steps(folder)[:-_KEPT]:
        (folder / f"step-{old}.npz").unlink()


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
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: damaged ({error}); delete it to go on from the one before.") from error
    if [array.shape for array in arrays] != [tuple(variable.shape) for variable in variables]:
        raise CheckpointError(f"{path}: belongs to another network; delete the folder {folder} to start anew.")
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return steps[-1]
