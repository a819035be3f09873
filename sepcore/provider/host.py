"""Where models are published: a GitHub release, or its mirror as a server or folder; versions of releases."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from semver import Version

from sepcore.errors import ProviderError

GITHUB = "https://github.com"
SPLEETER_REPOSITORY = "deezer/spleeter"
# The last of Deezer's releases that has models, and Spleeter's own default.
SPLEETER_RELEASE = "v1.4.0"
# Its models.
PRETRAINED = ("2stems", "4stems", "5stems")
_HINT = "Set it to an http(s) URL, or to a file: URL or the path of a folder that exists."

Address = str | Path
"""URL or path of a file of a release, or of its folder."""


@dataclass(frozen=True)
class Release:
    """Where models are published.

    Attributes:
        host: ``http(s)://…``, a ``file:`` URL or a folder.
        repository: ``owner/name`` on the host.
        tag: The release's tag; None is the latest.
    """

    host: str
    repository: str
    tag: str | None

    @classmethod
    def from_environment(cls) -> Self:
        """The release that ``GITHUB_HOST``, ``GITHUB_REPOSITORY`` and ``GITHUB_RELEASE`` name."""
        repository = os.environ.get("GITHUB_REPOSITORY") or SPLEETER_REPOSITORY
        unset = SPLEETER_RELEASE if repository == SPLEETER_REPOSITORY else "latest"
        tag = os.environ.get("GITHUB_RELEASE") or unset
        host = os.environ.get("GITHUB_HOST") or GITHUB
        return cls(host.rstrip("/"), repository, None if tag == "latest" else tag)

    def carries(self, name: str) -> bool:
        """Whether it may have a model; the models of Spleeter's own release are known."""
        return name in PRETRAINED or (self.host, self.repository) != (GITHUB, SPLEETER_REPOSITORY)

    @property
    def places(self) -> list[Address]:
        """Where the release's files may be, in the order to look: GitHub's layout, then those of plain mirrors.

        A plain mirror is a folder of releases (``<tag>/<model>.tar.gz``), or holds the tarballs of one itself.

        Raises:
            ProviderError: if the host is neither an http(s) URL nor a folder that exists.
        """
        github = f"{self.repository}/" + (f"releases/download/{self.tag}" if self.tag else "releases/latest/download")
        try:
            url = urlsplit(self.host)
            _ = url.port  # raises if it is not a valid port
        except ValueError as error:
            raise ProviderError(f"GITHUB_HOST is {self.host}, which is not an address ({error})", hint=_HINT) from error
        if url.scheme in {"http", "https"}:
            plain = [] if self.host == GITHUB else [*([f"{self.host}/{self.tag}"] if self.tag else []), self.host]
            return [f"{self.host}/{github}", *plain]
        folder = Path(url2pathname(url.path) if url.scheme == "file" else self.host)
        if not folder.is_dir():
            raise ProviderError(
                f"GITHUB_HOST is {self.host}, which is neither a URL nor a folder that exists", hint=_HINT
            )
        tag = self.tag or latest_version(child.name for child in folder.iterdir() if child.is_dir())
        return [folder / github, *([folder / tag] if tag else []), folder]


def join(place: Address, file: str) -> Address:
    """The address of a file in a place."""
    return place / file if isinstance(place, Path) else f"{place}/{file}"


def parse_version(text: str) -> Version | None:
    """``1.2.0`` or ``1.2.0-rc.1`` as a value that can be compared; None for anything else.

    Also for build metadata (``1.2.0+linux``), which would allow two releases of one version.
    """
    try:
        version = Version.parse(text)
    except ValueError:
        return None
    return version if version.build is None and str(version) == text else None


def latest_version(tags: Iterable[str]) -> str | None:
    """The tag of the highest version, with or without a leading ``v``; pre-releases and other names do not count."""
    versions = {tag: parse_version(tag.removeprefix("v")) for tag in tags}
    released = {tag: version for tag, version in versions.items() if version and not version.prerelease}
    return max(released, key=lambda tag: released[tag], default=None)
