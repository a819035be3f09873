"""SHA-256 of archives, and the ``checksum.json`` beside them in a release."""

import hashlib
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sepcore.errors import ProviderError
from sepcore.system.foreign import MAX_BYTES, ForeignTextError, is_name, parse_json, shortened

CHECKSUM_FILE = "checksum.json"
_TICK_NS = 2_000_000_000  # the coarsest there is


@dataclass(frozen=True)
class VerifiedArchive:
    """A model's tarball that may be unpacked, with its SHA-256 (64 hex digits) and the URL or path it came from."""

    path: Path
    sha256: str
    origin: str


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_identity(path: Path) -> tuple[int, ...]:
    """Numbers that change with a file's content, even if a copy keeps its time and size."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def known_sha256(path: Path) -> str:
    """`file_sha256`, remembered until the file is changed or replaced."""
    identity = file_identity(path)
    # A file that has just been changed may change again within one tick of the file system's clock.
    if abs(time.time_ns() - identity[-1]) < _TICK_NS:
        return file_sha256(path)
    return _known_sha256(path, identity)


@lru_cache(maxsize=4096)  # enough for a large test set
def _known_sha256(path: Path, identity: tuple[int, ...]) -> str:
    return file_sha256(path)


def parse_checksums(text: str | bytes, origin: str | Path) -> dict[str, str]:
    """The SHA-256 of every model of a release, by name.

    Args:
        text: Content of a ``checksum.json``: ``{"<model>": "<64 hex digits>"}``.
        origin: Where it came from, for the message.

    Raises:
        ProviderError: if it is something else.
    """
    try:
        checksums = parse_json(text)
        if not isinstance(checksums, dict):
            raise ForeignTextError(f"a {type(checksums).__name__}")
        for name, digest in checksums.items():
            if not is_name(name):
                raise ForeignTextError(f"{shortened(name)} is not a model's name")
            if not isinstance(digest, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", digest):
                raise ForeignTextError(f"{shortened(name)} has no SHA-256")
    except ForeignTextError as error:
        raise ProviderError(
            f'not a list of checksums of the form {{"<model>": "<SHA-256>"}}: {error.problem}', path=origin
        ) from error
    return {name: digest.lower() for name, digest in checksums.items()}


def read_checksums(folder: Path) -> dict[str, str]:
    """`parse_checksums` of the ``checksum.json`` in a folder; empty if there is none."""
    path = folder / CHECKSUM_FILE
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return parse_checksums(file.read(MAX_BYTES + 1), path)


def verified(archive: Path, name: str) -> VerifiedArchive:
    """The archive of model ``name`` on the user's disk, checked if a ``checksum.json`` beside it lists the model.

    Raises:
        ProviderError: if it is another archive.
    """
    actual = file_sha256(archive)
    check_sha256(archive, actual, read_checksums(archive.parent).get(name, actual))
    return VerifiedArchive(archive, actual, str(archive))


def check_sha256(origin: str | Path, actual: str, expected: str) -> None:
    """Raise ProviderError if an archive is not the one that was published."""
    if actual != expected:
        raise ProviderError(
            f"the archive is damaged or a different one (SHA-256 is {actual[:12]}…, {CHECKSUM_FILE} says "
            f"{expected[:12]}…)",
            path=origin,
            hint="Download it again.",
        )
