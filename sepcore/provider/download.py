"""Fetch a model's tarball from where it is published, verified before anybody uses it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sepcore.errors import ProviderError
from sepcore.provider.checksum import CHECKSUM_FILE, VerifiedArchive, check_sha256, file_sha256, parse_checksums
from sepcore.provider.host import Address, Release, join
from sepcore.provider.transfer import NotPublished, OnProgress, download, read_url, size_of_url
from sepcore.system.atomic import stale
from sepcore.system.locks import is_held, lock_of
from sepcore.system.ownership import is_plain_file
from sepcore.system.urls import shown

_PARTIAL = re.compile(r"\.(?P<model>\w[\w.+-]*)-[0-9a-f]{16}\.part")


@dataclass(frozen=True)
class Listing:
    """URL or folder of a release's files, and the SHA-256 (64 hex digits) of every model's tarball by its name."""

    place: Address
    sha256: Mapping[str, str]

    def sizes(self) -> dict[str, int | None]:
        """Bytes of every model's tarball; None if the host does not tell them without sending the file."""
        return {name: _size(join(self.place, f"{name}.tar.gz")) for name in sorted(self.sha256)}


def published_models(release: Release, wanted: str | None = None) -> Listing:
    """Read a release's ``checksum.json``; ``wanted`` is the model that is needed, for the hint.

    Raises:
        ProviderError: about the address, with the reason.
    """
    missing: ProviderError | None = None
    for place in release.places:
        address = join(place, CHECKSUM_FILE)
        try:
            return Listing(place, parse_checksums(_content(address, wanted), address))
        except NotPublished as error:
            missing = missing or error  # the user named the first place
    assert missing is not None
    raise missing


@contextmanager
def fetched_model(
    listing: Listing, name: str, folder: Path, on_progress: OnProgress | None = None
) -> Iterator[VerifiedArchive]:
    """Yield a model's tarball, checked against its release's ``checksum.json``; a download is removed after the block.

    A tarball in a folder is read there. A download that a killed process left is resumed.

    A download goes into ``folder``; only one process may fetch the same model into it at a time.

    Raises:
        ProviderError: about the address, with the reason.
        OSError: if ``folder`` cannot be written to.
    """
    if name not in listing.sha256:
        raise ProviderError(
            f"has no model {name!r} (this release has: {', '.join(sorted(listing.sha256)) or 'none'})",
            path=join(listing.place, CHECKSUM_FILE),
            hint="Check GITHUB_RELEASE.",
        )
    address, expected = join(listing.place, f"{name}.tar.gz"), listing.sha256[name]
    if isinstance(address, Path):
        _check_exists(address, name)
        check_sha256(address, file_sha256(address), expected)
        yield VerifiedArchive(address, expected, str(address))
        return
    # Named by its content: a download of another release must not be resumed with this one's bytes.
    partial = folder / f".{name}-{expected[:16]}.part"
    _remove_abandoned(folder, name)
    try:
        _download(address, partial, name, expected, on_progress)
        yield VerifiedArchive(partial, expected, shown(address))
    finally:
        partial.unlink(missing_ok=True)


def _remove_abandoned(folder: Path, name: str) -> None:
    """Remove downloads in ``folder`` that nobody has resumed for a day; this process holds the lock of ``name``."""
    named = {path: found["model"] for path in folder.glob(".*.part") if (found := _PARTIAL.fullmatch(path.name))}
    for path in stale(named):
        # It may be in use all the same, and only look old by a clock that has jumped.
        if is_plain_file(path) and (named[path] == name or not is_held(lock_of(folder / named[path]))):
            path.unlink(missing_ok=True)


def _download(address: str, partial: Path, name: str, expected: str, on_progress: OnProgress | None) -> None:
    left_over = partial.is_file()
    if left_over and file_sha256(partial) == expected:
        return
    download(address, partial, hint=_hint(name), on_progress=on_progress)
    actual = file_sha256(partial)
    if actual != expected and left_over:  # which may have been damaged, for example by a crash of the machine
        partial.unlink()
        download(address, partial, hint=_hint(name), on_progress=on_progress)
        actual = file_sha256(partial)
    check_sha256(address, actual, expected)


def _content(address: Address, name: str | None) -> bytes:
    if not isinstance(address, Path):
        return read_url(address, hint=_hint(name))
    _check_exists(address, name)
    return address.read_bytes()


def _check_exists(path: Path, name: str | None) -> None:
    if not path.is_file():
        raise NotPublished("no such file", path=path, hint=_hint(name))


def _size(address: Address) -> int | None:
    if not isinstance(address, Path):
        try:
            return size_of_url(address)
        except ProviderError:  # an address that is signed for downloads only answers 403
            return None
    return address.stat().st_size if address.is_file() else None


def _hint(name: str | None) -> str:
    mirror = "Check GITHUB_HOST, GITHUB_REPOSITORY and GITHUB_RELEASE, or set GITHUB_HOST to a mirror"
    return f"{mirror}, or MODEL_PATH to a folder that holds {name}/ or {name}.tar.gz." if name else f"{mirror}."
