"""Which files of a model's folder this project put there: by the marks that it leaves in it, or by their names."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from sepcore.networks.checkpoint_files import checkpoint_names, derived_names, find_checkpoint
from sepcore.provider.checksum import file_sha256
from sepcore.system.foreign import parse_json, read_bounded, read_json
from sepcore.system.ownership import foreign_content, is_real_folder, shown_names

ORIGIN_FILE = ".origin.json"
"""The mark of a model that was unpacked; see `provider.origin`."""
_RUN_FILE = ".run"
_LONGEST_NAME = 256


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
    if (origin := _files_of_origin(folder)) is not None:
        return own | origin | {ORIGIN_FILE, ".probe"}
    trained = TrainedMark.of(folder)
    if trained is not None:
        own.add(_RUN_FILE)
        if trained.files is not None:
            return own | set(trained.files)
    return own | checkpoint_names(folder) if force or trained or not find_checkpoint(folder) else own


def _files_of_origin(folder: Path) -> set[str] | None:
    try:
        return {str(name) for name in dict(read_json(folder / ORIGIN_FILE)["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


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


def why_not_replaceable(folder: Path, *, force: bool = False) -> str | None:
    """`obstacle` in one line, for a status line; None if there is none."""
    found = obstacle(folder, force=force)
    return f"{folder} {found[0]}; {found[1].lower()}" if found else None
