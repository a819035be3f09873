"""Models of a GitHub release, or of a mirror with the same layout: fetched and checked, never unpacked unverified."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit
from urllib.request import url2pathname

from sepcore.errors import ProviderError
from sepcore.provider.checksum import CHECKSUM_FILE, mismatch, parse_checksums

GITHUB = "https://github.com"
SPLEETER_REPOSITORY = "deezer/spleeter"
# The last of Deezer's releases that carries models, and Spleeter's own default.
SPLEETER_RELEASE = "v1.4.0"
# What that release carries.
PRETRAINED = ("2stems", "4stems", "5stems")

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and, where known, the bytes in all."""

_BLOCK = 1 << 20
_TIMEOUT_S = 30.0


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
        """Whether it is worth asking for a model: of Spleeter's own release it is known which there are."""
        return name in PRETRAINED or (self.host, self.repository) != (GITHUB, SPLEETER_REPOSITORY)

    @property
    def base(self) -> str | Path:
        """URL or folder of the release's files."""
        path = f"releases/download/{self.tag}" if self.tag else "releases/latest/download"
        scheme = urlsplit(self.host).scheme
        if scheme in {"http", "https"}:
            return f"{self.host}/{self.repository}/{path}"
        folder = Path(url2pathname(urlsplit(self.host).path) if scheme == "file" else self.host)
        if not folder.is_dir():
            raise ProviderError(
                f"GITHUB_HOST is {self.host}; expected an http(s) URL, or a file: URL or path of a folder that exists."
            )
        whole = folder / self.repository / path
        # A plain folder of tarballs beside their checksum.json is a mirror too.
        return whole if whole.is_dir() else folder


def fetch_model(release: Release, name: str, destination: Path, on_progress: OnProgress | None = None) -> None:
    """Write a model's tarball to ``destination``, checked against the release's ``checksum.json``.

    Args:
        release: Where from; redirects are followed.
        name: The model: ``<name>.tar.gz`` of the release.
        destination: File to write; after an error it must not be used.
        on_progress: Told how far it is, about every MiB.

    Raises:
        ProviderError: one line with the address, the reason and the cure.
        OSError: if ``destination`` cannot be written.
    """
    base = release.base
    checksums_at, archive_at = (_join(base, file) for file in (CHECKSUM_FILE, f"{name}.tar.gz"))
    with _opened(checksums_at, name) as (blocks, _):
        checksums = parse_checksums(b"".join(blocks), checksums_at)
    if name not in checksums:
        there = ", ".join(sorted(checksums)) or "none"
        raise ProviderError(f"{checksums_at}: has no model {name!r}; this release has {there}. Check GITHUB_RELEASE.")
    digest, done = hashlib.sha256(), 0
    with destination.open("wb") as file, _opened(archive_at, name) as (blocks, total):
        for block in blocks:
            file.write(block)
            digest.update(block)
            done += len(block)
            if on_progress:
                on_progress(done, total)
    if digest.hexdigest() != checksums[name]:
        raise ProviderError(mismatch(archive_at, digest.hexdigest(), checksums[name]))


def _join(base: str | Path, file: str) -> str | Path:
    return base / file if isinstance(base, Path) else f"{base}/{file}"


@contextmanager
def _opened(address: str | Path, name: str) -> Iterator[tuple[Iterator[bytes], int | None]]:
    """The content of a file or URL in blocks, and its size if known."""
    import httpx

    cure = (
        "check GITHUB_HOST, GITHUB_REPOSITORY and GITHUB_RELEASE, or set GITHUB_HOST to a mirror, "
        f"or MODEL_PATH to a folder that holds {name}/ or {name}.tar.gz."
    )
    if isinstance(address, Path):
        if not address.is_file():
            raise ProviderError(f"{address}: no such file; {cure}")
        with address.open("rb") as file:
            yield iter(lambda: file.read(_BLOCK), b""), address.stat().st_size
        return
    try:
        # Raw, as it is stored: some servers label a .tar.gz as compressed content to be unpacked on the way.
        identity = {"Accept-Encoding": "identity"}
        with httpx.stream("GET", address, follow_redirects=True, timeout=_TIMEOUT_S, headers=identity) as response:
            response.raise_for_status()
            size = response.headers.get("Content-Length", "")
            yield response.iter_raw(_BLOCK), int(size) if size.isdigit() else None
    except httpx.HTTPStatusError as error:
        status = f"{error.response.status_code} {error.response.reason_phrase}"
        raise ProviderError(f"{address}: cannot be downloaded (HTTP {status}); {cure}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise ProviderError(f"{address}: cannot be downloaded ({reason}); {cure}") from error
