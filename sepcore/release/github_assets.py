"""The files of a release on GitHub: compared with ours and uploaded in blocks, whatever their size."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sepcore.errors import ProviderError, ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE, parse_checksums
from sepcore.release.github_errors import Outdated
from sepcore.system.foreign import MAX_BYTES

if TYPE_CHECKING:
    import httpx
    from github.GitRelease import GitRelease
    from github.GitReleaseAsset import GitReleaseAsset

OnUpload = Callable[[str, int, int], None]
"""Called with a file's name, the bytes of it that are sent and those in all; starts anew where it is sent again."""

Listed = dict[str, "GitReleaseAsset"]
"""The files of a release by name, as they were when it was looked at."""

# The name under which a list of checksums waits to take the old one's place; by its content, so that two uploads that
# write the same do not wait for each other.
_WAITING = "checksum.{}.json"
_BLOCK = 1 << 20
_DOWNLOAD = {"Accept": "application/octet-stream", "Accept-Encoding": "identity"}


class Content(Enum):
    """What a file of a release is, beside ours of the same name."""

    OURS = auto()
    PART = auto()  # half an upload: GitHub calls it unfinished, or it is the beginning of ours
    OTHER = auto()


class AssetTransfer:
    """Carries the content of files to a release and from it.

    PyGithub lists, renames and deletes files. Their content goes through httpx: PyGithub has no timeout for an upload
    to another host than the API's, holds a download in memory, and refuses the host that downloads are redirected to.

    Attributes:
        num_uploads: Files that have been brought there whole.
    """

    def __init__(self, http: "httpx.Client", on_upload: OnUpload | None = None) -> None:
        self._http = http
        self._on_upload = on_upload
        # By the id of a file: another content has another id.
        self._digests: dict[int, str] = {}
        self._lists: dict[int, dict[str, str]] = {}
        self.num_uploads = 0

    def compare(self, asset: "GitReleaseAsset", path: Path, digest: str) -> Content:
        """What a file of a release is, beside ours at ``path`` with the SHA-256 ``digest``."""
        if asset.state != "uploaded":
            return Content.PART
        there = self._sha256(asset)
        if there == digest:
            return Content.OURS
        return Content.PART if there == _sha256_of_beginning(path, asset.size) else Content.OTHER

    def checksums(self, listed: Listed) -> dict[str, str]:
        """What a release's ``checksum.json`` says, and those that wait to take its place; empty if there is none.

        Raises:
            ReleaseError: one line, if one is no such list.
        """
        checksums: dict[str, str] = {}
        lists = [asset for asset in listed.values() if _is_list(asset)]
        # Should they contradict each other, the one in place is right.
        for asset in sorted(lists, key=lambda asset: asset.name == CHECKSUM_FILE):
            if asset.state == "uploaded":
                checksums |= self._checksums(asset)
        return checksums

    def upload_file(self, release: "GitRelease", path: Path) -> None:
        """Upload a file under its own name, which must be free."""
        with path.open("rb") as file:
            self._upload(release, path.name, file, path.stat().st_size)

    def write_checksums(self, release: "GitRelease", listed: Listed, checksums: dict[str, str]) -> None:
        """Let a release's ``checksum.json`` say ``checksums``, which hold what all lists there say.

        No file can be overwritten on GitHub. A new list is uploaded beside the old one and takes its name once that is
        deleted. A list is only deleted where a whole one is there that says the same and more: whenever a process is
        killed, and whoever else adds models at the same time, no model is lost.
        """
        content = f"{json.dumps(checksums, indent=2, sort_keys=True)}\n".encode()
        waiting = _WAITING.format(hashlib.sha256(content).hexdigest()[:12])
        # Half a list under another waiting name is left alone: somebody else may be uploading it.
        there = {
            name: asset
            for name, asset in listed.items()
            if _is_list(asset) and (asset.state == "uploaded" or name in {CHECKSUM_FILE, waiting})
        }
        same = [asset for asset in there.values() if asset.state == "uploaded" and self._checksums(asset) == checksums]
        kept = max(same, key=lambda asset: asset.name == CHECKSUM_FILE, default=None)
        if not kept:
            if half := there.pop(waiting, None):
                delete(half)
            kept = self._upload(release, waiting, io.BytesIO(content), len(content))
        for asset in there.values():
            if asset.id != kept.id:
                delete(asset)
        if kept.name != CHECKSUM_FILE:
            rename(kept, CHECKSUM_FILE)

    def _checksums(self, asset: "GitReleaseAsset") -> dict[str, str]:
        if asset.id not in self._lists:
            content = b""
            with self._download(asset) as blocks:
                for block in blocks:
                    content += block
                    if len(content) > MAX_BYTES:
                        break
            try:
                self._lists[asset.id] = parse_checksums(content, asset.browser_download_url)
            except ProviderError as error:
                raise ReleaseError(
                    error.problem, path=error.path, hint="Delete it on the release's page, and run this command again."
                ) from error
        return self._lists[asset.id]

    def _sha256(self, asset: "GitReleaseAsset") -> str:
        """SHA-256 of a file's content; downloaded where the host, an older Enterprise, does not tell it."""
        algorithm, _, told = (asset.digest or "").partition(":")
        if algorithm == "sha256":
            return told.lower()
        if asset.id not in self._digests:
            digest = hashlib.sha256()
            with self._download(asset) as blocks:
                for block in blocks:
                    digest.update(block)
            self._digests[asset.id] = digest.hexdigest()
        return self._digests[asset.id]

    @contextmanager
    def _download(self, asset: "GitReleaseAsset") -> Iterator[Iterator[bytes]]:
        # httpx leaves the token out where it is redirected to another host, which would refuse it.
        with self._http.stream("GET", asset.url, headers=_DOWNLOAD, follow_redirects=True) as response:
            with _expected_there(asset):
                _raise_for_status(response)
            yield response.iter_raw(_BLOCK)

    def _upload(self, release: "GitRelease", name: str, content: BinaryIO, size: int) -> "GitReleaseAsset":
        from github.GitReleaseAsset import GitReleaseAsset

        response = self._http.post(
            release.upload_url.partition("{")[0],
            params={"name": name},
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            content=self._blocks(name, content, size),
        )
        _raise_for_status(response)
        asset = GitReleaseAsset(release.requester, dict(response.headers), response.json(), completed=True)
        if (asset.state, asset.size) != ("uploaded", size):
            delete(asset)
            raise Outdated(f"{name} arrived as {asset.size} of {size} bytes, {asset.state}")
        self.num_uploads += 1
        return asset

    def _blocks(self, name: str, content: BinaryIO, size: int) -> Iterator[bytes]:
        done = 0
        while block := content.read(_BLOCK):
            yield block
            done += len(block)
            if self._on_upload:
                self._on_upload(name, done, size)


def _is_list(asset: "GitReleaseAsset") -> bool:
    return re.fullmatch(rf"{re.escape(CHECKSUM_FILE)}|{_WAITING.format('[0-9a-f]{12}')}", asset.name) is not None


def delete(asset: "GitReleaseAsset") -> None:
    """Delete a file of a release."""
    with _expected_there(asset):
        asset.delete_asset()


def rename(asset: "GitReleaseAsset", name: str) -> None:
    """Give a file of a release another name, which must be free."""
    with _expected_there(asset):
        asset.update_asset(name)


@contextmanager
def _expected_there(asset: "GitReleaseAsset") -> Iterator[None]:
    from github import UnknownObjectException

    try:
        yield
    except UnknownObjectException as error:
        raise Outdated(f"{asset.name} was removed by somebody else") from error


def _raise_for_status(response: "httpx.Response") -> None:
    from github import GithubException, UnknownObjectException

    if response.is_success:
        return
    response.read()
    try:
        answer = response.json()
    except ValueError:
        answer = None
    kind = UnknownObjectException if response.status_code == 404 else GithubException
    raise kind(response.status_code, answer, dict(response.headers))


def _sha256_of_beginning(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
