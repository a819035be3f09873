"""The folder of models: unpack each once however many processes ask for it, mark its origin, replace only our files."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Self

from sepcore.errors import ProviderError
from sepcore.networks.checkpoint_files import checkpoint_names, derived_names, find_checkpoint
from sepcore.provider.archive import unpack_archive
from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.system.atomic import atomic_folder, remove_leftovers, write_text
from sepcore.system.foreign import parse_json, read_bounded, read_json
from sepcore.system.locks import lock_of, locked
from sepcore.system.os_errors import fix_for
from sepcore.system.ownership import foreign_content, is_real_folder, shown_names

# Spleeter's mark of a complete model, so that it does not download the model itself.
_PROBE = ".probe"
_ORIGIN_FILE = ".origin.json"
# What this program, or Spleeter, adds to a model's own files.
_ORIGIN_MARKS = {_ORIGIN_FILE, _PROBE}
_RUN_FILE = ".run"
_LONGEST_NAME = 256

Obtain = Callable[[], AbstractContextManager[VerifiedArchive]]
"""Yields a verified archive while it is unpacked."""


def model_path() -> Path:
    """The folder of models: ``MODEL_PATH``, by default ``pretrained_models`` in the working directory."""
    return Path(os.environ.get("MODEL_PATH") or "pretrained_models").absolute()


def install_model(
    folder: Path,
    obtain: Obtain,
    is_there: Callable[[Path], object] = find_checkpoint,
    *,
    force: bool = False,
) -> Path:
    """Make sure that ``folder`` holds a whole checkpoint.

    Args:
        folder: The model's. It is replaced if it holds only files of this project, or the remains of another program's
            interrupted download.
        obtain: Called at most once, by one thread of one process at a time.
        is_there: Whether a folder holds the model already.
        force: Replace also a whole model that another program put there, but no other files.

    Returns:
        ``folder``.

    Raises:
        ProviderError: nothing is left behind, and nothing that was there is changed.
    """
    if is_there(folder):
        return folder
    with putting_model(folder):
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
                    unpack_archive(archive.path, temporary, archive.origin)
                    if not find_checkpoint(temporary):
                        raise ProviderError(
                            "holds no complete checkpoint (*.index and *.data-*)",
                            path=archive.origin,
                            hint="Download or build it again.",
                        )
                    write_origin(temporary, archive)
                    (temporary / _PROBE).write_text("OK", "utf-8")
    return folder


@contextmanager
def putting_model(folder: Path) -> Iterator[None]:
    """Raise ProviderError if a model's folder cannot be written in this context."""
    try:
        yield
    except OSError as error:
        raise ProviderError(
            f"the model cannot be put here ({error})",
            path=folder,
            hint=f"{fix_for(error)}, or set MODEL_PATH to a folder that can be written to.",
            errno=error.errno,
        ) from error


@dataclass(frozen=True)
class ModelOrigin:
    """What was unpacked into a model's folder: a tarball's address and SHA-256, and that of each file by its path."""

    address: str
    sha256: str
    files: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The mark in a model's folder; None if another program or the user put the model there."""
        try:
            content = read_json(folder / _ORIGIN_FILE)
            files = {str(name): str(digest) for name, digest in content["files"].items()}
            origin = cls(str(content["address"]), str(content["sha256"]), files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        paths = [PurePosixPath(name) for name in files]
        return None if any(path.is_absolute() or ".." in path.parts for path in paths) else origin

    def changed_files(self, folder: Path) -> list[str]:
        """The files that are missing, or changed since the model came."""
        return [
            name
            for name, digest in self.files.items()
            if not ((folder / name).is_file() and file_sha256(folder / name) == digest)
        ]

    def foreign_files(self, folder: Path) -> list[str]:
        """The files that did not come with the model."""
        here = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()
        }
        return sorted(here - set(self.files) - _ORIGIN_MARKS)


def write_origin(folder: Path, archive: VerifiedArchive) -> None:
    """Mark a model's folder with what has just been unpacked into it."""
    origin = ModelOrigin(archive.origin, archive.sha256, file_digests(folder))
    write_text(folder / _ORIGIN_FILE, json.dumps(asdict(origin), indent=2) + "\n")


@dataclass(frozen=True)
class TrainedMark:
    """The mark of a model that a training on this machine put into its folder.

    It holds `RunFolder.lineage`, and the SHA-256 of every file by its path; None in a mark of an earlier version.
    """

    run: str
    files: Mapping[str, str] | None

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """The mark in a folder; None if no training put the model there."""
        try:
            text = read_bounded(folder / _RUN_FILE).decode("utf-8")
        except (OSError, ValueError):
            return None
        try:
            content = parse_json(text)
            return cls(str(content["run"]), {str(name): str(digest) for name, digest in content["files"].items()})
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls(text, None) if text and len(text) < _LONGEST_NAME and text.isprintable() else None

    def changed_files(self, folder: Path) -> list[str]:
        """The files that are there, but changed since the training put them there."""
        return [
            name
            for name, digest in (self.files or {}).items()
            if (folder / name).is_file() and file_sha256(folder / name) != digest
        ]

    def write(self, folder: Path) -> None:
        """Leave the mark in a folder that is still being made."""
        (folder / _RUN_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder by its path in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def own_model_files(folder: Path, *, force: bool = False) -> set[str]:
    """The files of a model's folder that another model may replace.

    These are the files that a mark lists, changed or not. Without a list, they are the files with a checkpoint's names,
    which an interrupted download leaves; but no whole checkpoint without a mark, unless ``force``.
    """
    own = derived_names(folder)
    if (origin := ModelOrigin.of(folder)) is not None:
        return own | set(origin.files) | _ORIGIN_MARKS
    trained = TrainedMark.of(folder)
    if trained is not None:
        own.add(_RUN_FILE)
        if trained.files is not None:
            return own | set(trained.files)
    return own | checkpoint_names(folder) if force or trained or not find_checkpoint(folder) else own


def obstacle(folder: Path, *, force: bool = False) -> tuple[str, str] | None:
    """Why a model's folder must not be replaced; None if it may be, or is missing or empty.

    Returns:
        What the folder is or holds (``is a file``), and the start of a hint (``Move it away``).
    """
    if folder.is_symlink():
        return "is a link, which is never replaced", "Remove the link"
    if not is_real_folder(folder):
        return ("is a file", "Move it away") if folder.exists() else None
    if foreign := foreign_content(folder, own_model_files(folder, force=True)):
        return f"holds {shown_names(foreign)}, which this program did not write", "Move it away"
    if not force and foreign_content(folder, own_model_files(folder)):
        return "holds a model that another program put there", "Move it away"
    return None
