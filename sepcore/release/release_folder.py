"""A folder of a release, checked before it leaves the machine."""

import re
from collections.abc import Mapping
from pathlib import Path

from sepcore.errors import ProviderError, ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE, VerifiedArchive, file_sha256, read_checksums

TARBALL_SUFFIX = ".tar.gz"
# GitHub renames an asset that has other characters in its name; the model would not be found under its own.
_PUBLISH_AGAIN = "Publish the runs of this version again."
_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]*", re.ASCII)


def checked_models(folder: Path, staged: Mapping[str, VerifiedArchive] | None = None) -> dict[str, VerifiedArchive]:
    """The models of a release by name, after the tarball of each was found to be the one that its folder lists.

    Args:
        folder: Holds ``<model>.tar.gz`` files and the ``checksum.json`` that lists them; every tarball is read.
        staged: Models that are about to be published in it, and are taken instead of what is there of their names.

    Raises:
        ReleaseError: one line, if a tarball is missing, not listed or another one, if there is none at all, or if a
            model's name would not stay as it is on GitHub.
        OSError: if a file cannot be read.
    """
    staged, path = staged or {}, folder / CHECKSUM_FILE
    if not path.is_file() and not staged:
        raise ReleaseError(
            f"not a release (it has no {CHECKSUM_FILE})", path=folder, hint="Give the folder of a version."
        )
    try:
        listed = read_checksums(path) if path.is_file() else {}
    except ProviderError as error:
        raise ReleaseError(error.problem, path=error.path, hint=_PUBLISH_AGAIN) from error
    models = {
        name: VerifiedArchive(folder / f"{name}{TARBALL_SUFFIX}", digest, str(folder / f"{name}{TARBALL_SUFFIX}"))
        for name, digest in listed.items()
        if name not in staged
    }
    there = {file.name for file in folder.glob(f"*{TARBALL_SUFFIX}") if not file.name.startswith(".")}
    there -= {f"{name}{TARBALL_SUFFIX}" for name in staged}
    expected = {model.path.name for model in models.values()}
    if expected != there or not {**models, **staged}:
        missing, unlisted = sorted(expected - there), sorted(there - expected)
        reason = (
            f"{CHECKSUM_FILE} lists {', '.join(missing)}, which is not there"
            if missing
            else f"{CHECKSUM_FILE} does not list {', '.join(unlisted) or 'any model'}"
        )
        raise ReleaseError(reason, path=folder, hint=_PUBLISH_AGAIN)
    for name in {**models, **staged}:
        if not _NAME.fullmatch(name):
            raise ReleaseError(f"GitHub would rename {name!r}", path=folder, hint="Publish it with a --name in ASCII.")
    for model in models.values():
        actual = file_sha256(model.path)
        if actual != model.sha256:
            raise ReleaseError(
                f"SHA-256 is {actual[:12]}…, but {CHECKSUM_FILE} says {model.sha256[:12]}…: the tarball is damaged or "
                "another one",
                path=model.origin,
                hint="Publish its run again.",
            )
    return {**models, **staged}
