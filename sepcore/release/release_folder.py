"""A folder of a release, checked before it leaves the machine."""

import re
from pathlib import Path

from sepcore.errors import ProviderError, ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE, file_sha256, parse_checksums

TARBALL_SUFFIX = ".tar.gz"
# GitHub renames an asset that has other characters in its name; the model would not be found under its own.
_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)


def checked_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of every model in ``folder``, by name, after its tarball was found to have it.

    Args:
        folder: Holds ``<model>.tar.gz`` files and the ``checksum.json`` that lists them; every tarball is read.

    Raises:
        ReleaseError: one line, if a tarball is missing, not listed or another one, if there is none at all, or if a
            model's name would not stay as it is on GitHub.
        OSError: if a file cannot be read.
    """
    path = folder / CHECKSUM_FILE
    if not path.is_file():
        raise ReleaseError(f"{folder}: not a release (it has no {CHECKSUM_FILE}); give the folder of a version.")
    try:
        checksums = parse_checksums(path.read_bytes(), path)
    except ProviderError as error:
        raise ReleaseError(f"{error} Publish the runs of this version again.") from error
    listed = {f"{name}{TARBALL_SUFFIX}" for name in checksums}
    there = {file.name for file in folder.glob(f"*{TARBALL_SUFFIX}") if not file.name.startswith(".")}
    if listed != there or not checksums:
        missing, unlisted = sorted(listed - there), sorted(there - listed)
        reason = (
            f"{CHECKSUM_FILE} lists {', '.join(missing)}, which is not there"
            if missing
            else f"{CHECKSUM_FILE} does not list {', '.join(unlisted) or 'any model'}"
        )
        raise ReleaseError(f"{folder}: {reason}; publish the runs of this version again.")
    for name, digest in checksums.items():
        if not _NAME.fullmatch(name):
            raise ReleaseError(f"{folder}: GitHub would rename {name!r}; publish it with a --name in ASCII.")
        actual = file_sha256(folder / f"{name}{TARBALL_SUFFIX}")
        if actual != digest:
            raise ReleaseError(
                f"{folder / name}{TARBALL_SUFFIX}: SHA-256 is {actual[:12]}…, {CHECKSUM_FILE} says {digest[:12]}…; "
                "the tarball is damaged or another one. Publish its run again."
            )
    return checksums
