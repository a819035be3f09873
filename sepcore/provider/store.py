"""``MODEL_PATH``: the folder that models are unpacked into, each once however many processes ask for it."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
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


_ORIGIN_FILE = ".origin.json"
# What this program, or Spleeter, puts beside the files that came.
_ORIGIN_MARKS = {_ORIGIN_FILE, ".probe"}
_RUN_FILE = ".run"
_LONGEST_NAME = 256


@dataclass(frozen=True)
class ModelOrigin:
    """What was unpacked into a model's folder.

    Attributes:
        address: URL or path of the tarball.
        sha256: Of the tarball, 64 hex digits.
        files: SHA-256 of every file by its path in the folder.
    """

    address: str
    sha256: str
    files: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> Self | None:
        """What stands in a model's folder; None if another program, or the user, has put the model there."""
        try:
            content = read_json(folder / _ORIGIN_FILE)
            files = {str(name): str(digest) for name, digest in content["files"].items()}
            origin = cls(str(content["address"]), str(content["sha256"]), files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return origin if all(_is_below(name) for name in files) else None

    def changed_files(self, folder: Path) -> list[str]:
        """The files that are missing or no longer what came."""
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
    """Note in a model's folder what has just been unpacked into it."""
    origin = ModelOrigin(archive.origin, archive.sha256, file_digests(folder))
    write_text(folder / _ORIGIN_FILE, json.dumps(asdict(origin), indent=2) + "\n")


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


@dataclass(frozen=True)
class TrainedMark:
    """The mark of a model that a training here put into its folder.

    Attributes:
        run: The training's lineage, see `RunFolder.lineage`.
        files: SHA-256 of every file by its path in the folder; None where an earlier version left the mark.
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
        """The files of the list that are there and no longer what the training put there."""
        return [
            name
            for name, digest in (self.files or {}).items()
            if (folder / name).is_file() and file_sha256(folder / name) != digest
        ]

    def write(self, folder: Path) -> None:
        """Leave the mark in a folder, which has not got its name yet."""
        (folder / _RUN_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", "utf-8")


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder by its path in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): file_sha256(path) for path in files}


def own_model_files(folder: Path, *, force: bool = False) -> set[str]:
    """The files of a model's folder that may be replaced by another model.

    They are what a mark lists, changed or not. Without a list it is what is called as a checkpoint's files are, which
    an interrupted download leaves; but not of a whole checkpoint that nobody has marked, unless ``force``.
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
    """What keeps a model's folder from being replaced by another model, and how to remove that; None if nothing does.

    Args:
        folder: The model's; a missing or empty one can be replaced.
        force: See `own_model_files`.

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
