"""A finished model put where the config's `model_dir` points, so that ``-p CONFIG`` separates with it."""

import shutil
from pathlib import Path

from sepcore.atomic import atomic_folder
from sepcore.config import ModelConfig
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.provider.host import PRETRAINED
from sepcore.provider.store import model_path
from sepcore.training.run_folder import RunFolder

_OWNER = ".run"


def put_into_model_dir(run: RunFolder, config: ModelConfig) -> tuple[Path | None, str]:
    """Copy a run's model into ``model_dir``, unless a model that is not this run's stands there.

    Returns:
        Where it lies now, or None; and one line for the user that says so.
    """
    if config.model_dir is None:
        return None, f"the config has no model_dir; separate with -p {run.path}"
    folder = model_path() / config.model_dir
    if config.model_dir in PRETRAINED:
        return None, f"model_dir {config.model_dir} is kept for the published model; separate with -p {run.path}"
    owner = folder / _OWNER
    if find_checkpoint(folder) and not (owner.is_file() and owner.read_text("utf-8") == run.lineage):
        return None, f"{folder} holds the model of another training and is left alone; separate with -p {run.path}"
    with atomic_folder(folder) as temporary:
        shutil.copytree(run.model, temporary, dirs_exist_ok=True)
        (temporary / _OWNER).write_text(run.lineage, "utf-8")
    return folder, f"model copied to {folder}"
