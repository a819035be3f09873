"""Where a model in `MODEL_PATH` is from, and whether its files are still those that came."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Self

from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.provider.model_files import ORIGIN_FILE, file_digests
from sepcore.system.atomic import write_text
from sepcore.system.foreign import read_json

# What this program, or Spleeter, puts beside the files that came.
_MARKS = {ORIGIN_FILE, ".probe"}


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
            content = read_json(folder / ORIGIN_FILE)
            files = {str(name): str(digest) for name, digest in content["files"].items()}
            origin = cls(str(content["address"]), str(content["sha256"]), files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return origin if all(_is_below(name) for name in files) else None

    def changed_files(self, folder: Path) -> list[str]:
        """The files that are missing or no longer what came."""
        return [name for name, digest in self.files.items() if not _is_file(folder / name, digest)]

    def foreign_files(self, folder: Path) -> list[str]:
        """The files that did not come with the model."""
        here = {
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or path.is_file()
        }
        return sorted(here - set(self.files) - _MARKS)


def _is_below(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def write_origin(folder: Path, archive: VerifiedArchive) -> None:
    """Note in a model's folder what has just been unpacked into it."""
    origin = ModelOrigin(archive.origin, archive.sha256, file_digests(folder))
    write_text(folder / ORIGIN_FILE, json.dumps(asdict(origin), indent=2) + "\n")


def _is_file(path: Path, digest: str) -> bool:
    return path.is_file() and file_sha256(path) == digest
