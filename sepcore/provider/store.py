"""``MODEL_PATH``: the folder that models are unpacked into, each once however many processes ask for it."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from sepcore.errors import ProviderError
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.provider.archive import unpack_archive
from sepcore.provider.checksum import VerifiedArchive
from sepcore.provider.model_files import obstacle, own_model_files, write_origin
from sepcore.system.atomic import atomic_folder, remove_leftovers
from sepcore.system.locks import lock_of, locked
from sepcore.system.os_errors import fix_for

_DEFAULT = "pretrained_models"
# Spleeter's mark of a complete model: what is unpacked here it takes without a download of its own.
_PROBE, _PROBE_TEXT = ".probe", "OK"

Obtain = Callable[[], AbstractContextManager[VerifiedArchive]]
"""Hands out a verified archive for as long as it is unpacked."""


def model_path() -> Path:
    """The folder of models: ``MODEL_PATH``, by default ``pretrained_models`` in the working directory."""
    return Path(os.environ.get("MODEL_PATH") or _DEFAULT).absolute()


def install_model(
    folder: Path,
    obtain: Obtain,
    is_there: Callable[[Path], object] = find_checkpoint,
    *,
    force: bool = False,
) -> Path:
    """Make sure that ``folder`` holds a whole checkpoint.

    Args:
        folder: The model's. One that holds nothing but what this project put there, or the remains of an interrupted
            download of another program, is replaced.
        obtain: Called at most once, by one thread of one process at a time.
        is_there: Tells of the folder whether it holds the model already.
        force: Replace also a whole model that something else put there, but no other files.

    Returns:
        ``folder``.

    Raises:
        ProviderError: nothing is left behind then, and what was there is as it was.
    """
    if is_there(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(lock_of(folder), f"fetching {folder.name}"):
            if not is_there(folder):
                if found := obstacle(folder, force=force):
                    problem, fix = found
                    raise ProviderError(
                        f"no model can be put here: it {problem}",
                        path=folder,
                        hint=f"{fix}, or set MODEL_PATH to another folder.",
                    )
                remove_leftovers(folder.parent)
                own_files = partial(own_model_files, force=force)
                with obtain() as archive, atomic_folder(folder, own_files) as temporary:
                    _unpack(archive, temporary)
    except OSError as error:
        raise ProviderError(
            f"the model cannot be put here ({error})",
            path=folder,
            hint=f"{fix_for(error)}, or set MODEL_PATH to a folder that can be written to.",
            errno=error.errno,
        ) from error
    return folder


def _unpack(archive: VerifiedArchive, folder: Path) -> None:
    unpack_archive(archive.path, folder, archive.origin)
    if not find_checkpoint(folder):
        raise ProviderError(
            "holds no complete checkpoint (*.index and *.data-*)",
            path=archive.origin,
            hint="Download or build it again.",
        )
    write_origin(folder, archive)
    (folder / _PROBE).write_text(_PROBE_TEXT, "utf-8")
