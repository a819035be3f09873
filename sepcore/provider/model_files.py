"""The marks this project leaves in a model's folder, and which of its files it may replace."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from sepcore.networks.checkpoint_files import checkpoint_names, derived_names, find_checkpoint
from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.system.atomic import write_text
from sepcore.system.foreign import parse_json, read_bounded, read_json
from sepcore.system.ownership import foreign_content, is_real_folder, shown_names

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
