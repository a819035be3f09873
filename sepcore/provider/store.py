"""``MODEL_PATH``: the folder that models are unpacked into, each once however many processes ask for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from sepcore.atomic import atomic_folder, remove_leftovers
from sepcore.errors import ProviderError
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.provider.archive import unpack_archive

_DEFAULT = "pretrained_models"


def model_path() -> Path:
    """The folder of models: ``MODEL_PATH``, by default ``pretrained_models`` in the working directory."""
    return Path(os.environ.get("MODEL_PATH") or _DEFAULT).absolute()


def install_model(folder: Path, obtain: Callable[[Path], Path]) -> Path:
    """Make sure that ``folder`` holds a whole checkpoint.

    Args:
        folder: The model's. If it lacks a whole checkpoint (an interrupted download of another program) it is replaced.
        obtain: Gives a verified archive; the path it is handed is free for it to write one to. Called at most once,
            by one thread of one process at a time.

    Returns:
        ``folder``.

    Raises:
        ProviderError: one line; nothing is left behind then.
    """
    if find_checkpoint(folder):
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_name(f".{folder.name}.lock")):
            if not find_checkpoint(folder):
                remove_leftovers(folder.parent)
                with atomic_folder(folder) as temporary:
                    _unpack(obtain, temporary)
    except OSError as error:
        raise ProviderError(
            f"{folder}: the model cannot be put there ({error}); set MODEL_PATH to a folder that can be written."
        ) from error
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process; its file goes too, after an error as well."""
    with FileLock(path):
        try:
            yield
        finally:
            # Whoever waits on the removed file and gets it looks for the finished model first: at worst a failed
            # download is tried twice at once, each into a temporary folder of its own.
            path.unlink(missing_ok=True)


def _unpack(obtain: Callable[[Path], Path], folder: Path) -> None:
    download = folder / ".download.tar.gz"
    archive = obtain(download)
    unpack_archive(archive, folder)
    download.unlink(missing_ok=True)
    if not find_checkpoint(folder):
        raise ProviderError(
            f"{archive.name}: holds no complete checkpoint (*.index and *.data-*); fetch or build it again."
        )
    # Spleeter's mark of a complete model: what is unpacked here it takes without a download of its own.
    (folder / ".probe").write_text("OK", "utf-8")
