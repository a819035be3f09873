"""Where a model in `MODEL_PATH` is from, and whether its files are still those that came."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from sepcore.atomic import write_text
from sepcore.provider.checksum import VerifiedArchive, file_sha256
from sepcore.provider.model_files import ORIGIN_FILE, file_digests


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
            content = json.loads((folder / ORIGIN_FILE).read_text("utf-8"))
            return cls(str(content["address"]), str(content["sha256"]), dict(content["files"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def changed_files(self, folder: Path) -> list[str]:
        """The files that are missing or no longer what came."""
        return [name for name, digest in self.files.items() if not _is_file(folder / name, digest)]


def write_origin(folder: Path, archive: VerifiedArchive) -> None:
    """Note in a model's folder what has just been unpacked into it."""
    origin = ModelOrigin(archive.origin, archive.sha256, file_digests(folder))
    write_text(folder / ORIGIN_FILE, json.dumps(asdict(origin), indent=2) + "\n")


def _is_file(path: Path, digest: str) -> bool:
    return path.is_file() and file_sha256(path) == digest
