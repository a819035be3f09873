"""A finished model put where the config's `model_dir` points, so that ``-p CONFIG`` separates with it."""

import shutil
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError
from sepcore.networks.checkpoint_files import checkpoint_names, find_checkpoint
from sepcore.provider.checksum import file_sha256
from sepcore.provider.host import PRETRAINED
from sepcore.provider.store import ModelOrigin, TrainedMark, file_digests, model_path, obstacle, own_model_files
from sepcore.system.atomic import atomic_folder
from sepcore.system.locks import lock_of, locked
from sepcore.system.ownership import shown_names
from sepcore.training.run_folder import RunFolder


def put_into_model_dir(run: RunFolder, config: ModelConfig) -> tuple[Path | None, str]:
    """Copy a run's model into ``model_dir``, unless something that is not this run's stands there.

    What cannot be put there is no error: the model is in the run folder.

    Returns:
        Where it lies now, or None; and one line for the user that says so.
    """
    if not find_checkpoint(run.model):
        return None, f"{run.model} holds no whole model; bring it back, or train it again with --fresh"
    if config.model_dir is None:
        return None, f"the config has no model_dir; separate with -p {run.path}"
    folder = model_path() / config.model_dir
    try:
        line = _misplaced(folder, config.model_dir) or _put(run, folder)
    except OSError as error:
        line = f"the model cannot be put into {folder} ({error.strerror or error})"
    except TrainingError:
        line = f"the model is not put into {folder}: another process trains in {run.path}; run again after it"
    return (folder, f"model copied to {folder}") if line is None else (None, f"{line}; separate with -p {run.path}")


def _misplaced(folder: Path, model_dir: str) -> str | None:
    """Why no model may be put there at all, whatever lies there."""
    models, place = model_path().resolve(), folder.parent.resolve() / folder.name
    if place == models or place in models.parents:
        return f"model_dir {model_dir} is MODEL_PATH or holds it and is left alone"
    inside = place.is_relative_to(models)
    if not inside and not Path(model_dir).is_absolute():
        return f"model_dir {model_dir} leads by a link out of {model_path()} and is left alone"
    if inside and place.relative_to(models).parts[0] in PRETRAINED:
        return f"model_dir {model_dir} is kept for the published model"
    return None


def _put(run: RunFolder, folder: Path) -> str | None:
    """Copy the model, unless it is there; why not, if something else stands there."""
    if reason := _taken(run, folder):  # before anything is written beside it
        return reason
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Under the run's lock no training replaces its model between the look at the files and their copies.
    with run.locked(), locked(lock_of(folder), f"writing {folder.name}"):
        if reason := _taken(run, folder):
            return reason
        if not _is_there(run, folder):
            with atomic_folder(folder, own_model_files) as temporary:
                for name in checkpoint_names(run.model):
                    shutil.copy2(run.model / name, temporary)
                if not find_checkpoint(temporary):  # a person may have moved it away since
                    raise FileNotFoundError(f"{run.model} holds no whole model any more")
                TrainedMark(run.lineage, file_digests(temporary)).write(temporary)
    return None


def _is_there(run: RunFolder, folder: Path) -> bool:
    """Whether a folder holds all files of the run's model as they are; `_taken` has found none of them changed."""
    mark = TrainedMark.of(folder)
    if mark is None or mark.files is None or not all((folder / name).is_file() for name in mark.files):
        return False
    return mark.files == {name: file_sha256(run.model / name) for name in checkpoint_names(run.model)}


def _taken(run: RunFolder, folder: Path) -> str | None:
    """What stands in a folder and may not be replaced by this run's model."""
    if found := obstacle(folder, force=True):
        problem, fix = found
        return f"the model is not put into model_dir: {folder} {problem}; {fix.lower()}, or give model_dir another name"
    mark = TrainedMark.of(folder)
    if ModelOrigin.of(folder) or (find_checkpoint(folder) and mark is None) or (mark and mark.run != run.lineage):
        return f"{folder} holds the model of another training and is left alone"
    if changed := mark.changed_files(folder) if mark else []:
        return f"the model is not put into model_dir: {shown_names(changed)} in {folder} changed since; move it away"
    return None
