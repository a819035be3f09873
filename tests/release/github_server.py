"""A GitHub on 127.0.0.1: releases and their assets as the REST API documents them, and as a browser downloads them.

    with GithubServer("owner/name") as github:
        upload_release(folder, tag="1.0.0", repository=github.repository, notes="")
        httpx.get(f"{github.url}/owner/name/releases/download/1.0.0/mine.tar.gz", follow_redirects=True)

The API is at `url`/api/v3. As on github.com, files are uploaded to and stored on another host, here another port:
it is named by `upload_url`, and refuses a download that still carries the token.
"""

import hashlib
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

from sepcore.release.github_repository import GithubRepository
from tests.release.github_handler import ClientGone, Handler
from tests.release.github_pages import Pages
from tests.release.github_storage import Storage

TOKEN = "ghp_secret"


@dataclass
class Asset:
    id: int
    name: str
    path: Path
    state: str = "starter"
    size: int = 0
    sha256: str = ""

    def fill(self, blocks: Iterator[bytes]) -> None:
        """Write the content as it comes in; the state stays `starter` if it does not come to an end."""
        digest = hashlib.sha256()
        with self.path.open("wb") as file:
            for block in blocks:
                file.write(block)
                digest.update(block)
        self.state, self.size, self.sha256 = "uploaded", self.path.stat().st_size, digest.hexdigest()


@dataclass
class Release:
    id: int
    tag: str
    draft: bool
    prerelease: bool
    name: str
    body: str
    assets: list[Asset] = field(default_factory=list)

    def asset(self, name: str) -> Asset:
        return next(asset for asset in self.assets if asset.name == name)


@dataclass
class Fault:
    """What a request gets instead of its answer."""

    method: str
    path: str
    times: int
    status: int
    body: dict[str, object] | bytes
    headers: dict[str, str]
    after: bool


class GithubServer:
    """A running server with one repository; a context manager.

    Attributes:
        url: What `GITHUB_HOST` is set to.
        releases: All of the repository, drafts too.
        requests: Method and path of every request, in order.
        changes: What was changed, in order, in words: `create draft 1.0.0`, `upload mine.tar.gz`, `publish 1.0.0`, …
        gives_digests: Whether assets have a `digest`; older Enterprise Servers give none.
        per_page: The most that is listed at a time, however much is asked for.
        api_url: What answers call the API's address.
        downloaded: Names of the assets whose content was sent, in order.
    """

    def __init__(self, name: str = "owner/name", token: str = TOKEN) -> None:
        self.name, self.token = name, token
        self.releases: list[Release] = []
        self.requests: list[str] = []
        self.changes: list[str] = []
        self.downloaded: list[str] = []
        self.gives_digests = True
        self.per_page = 100
        self.upload_held = threading.Event()
        self.faults: list[Fault] = []
        self.break_after: list[int] = []
        self.hold_after: int | None = None
        self.resumed = threading.Event()
        self.lock = threading.RLock()
        self.mistakes: list[Exception] = []
        self._last_id = 0
        self._folder = tempfile.TemporaryDirectory()
        self._servers = [_Server(self, Pages), _Server(self, Storage)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)
        self.api_url = f"{self.url}/api/v3"
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}) for server in self._servers
        ]

    def __enter__(self) -> "GithubServer":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.resumed.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
        self._folder.cleanup()
        if self.mistakes:
            raise ExceptionGroup("the server's own mistakes", self.mistakes)

    @property
    def repository(self) -> GithubRepository:
        return GithubRepository(self.url, self.name, self.token)

    @property
    def environment(self) -> dict[str, str]:
        """What has to be set to upload to this server, and to download from it."""
        return {"GITHUB_HOST": self.url, "GITHUB_REPOSITORY": self.name, "GITHUB_TOKEN": self.token}

    def release(self, tag: str) -> Release:
        """The only release of a tag."""
        (found,) = (release for release in self.releases if release.tag == tag)
        return found

    def content(self, tag: str, name: str) -> bytes:
        return self.release(tag).asset(name).path.read_bytes()

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        body: dict[str, object] | bytes | None = None,
        *,
        times: int = 1,
        headers: dict[str, str] | None = None,
        after: bool = False,
    ) -> None:
        """Let the next requests whose path matches the regular expression `path` get this answer.

        `after`: the request is carried out, only its answer is lost. Status 0 closes the connection without an answer.
        """
        body = {"message": f"made up {status}"} if body is None else body
        self.faults.append(Fault(method, path, times, status, body, headers or {}, after))

    def break_upload(self, after: int, times: int = 1) -> None:
        """Close the connection of the next uploads after so many bytes; what came stays as a `starter`."""
        self.break_after += [after] * times

    def hold_upload(self, after: int) -> None:
        """Let the next upload stand still after so many bytes: `upload_held` is set, until `resume` is called."""
        self.hold_after = after

    def resume(self) -> None:
        self.resumed.set()

    def add_release(self, tag: str, *, draft: bool = False, prerelease: bool = False) -> Release:
        release = Release(self.next_id(), tag, draft, prerelease, tag, "")
        self.releases.append(release)
        return release

    def add_asset(self, release: Release, name: str, content: bytes, state: str = "uploaded") -> Asset:
        asset = self.new_asset(release, name)
        asset.fill(iter([content]))
        asset.state = state
        return asset

    def next_id(self) -> int:
        with self.lock:
            self._last_id += 1
            return self._last_id

    def new_asset(self, release: Release, name: str) -> Asset:
        asset_id = self.next_id()
        asset = Asset(asset_id, name, Path(self._folder.name) / str(asset_id))
        release.assets.append(asset)
        return asset

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    return fault
        return None

    def find(self, release_id: int) -> Release | None:
        return next((release for release in self.releases if release.id == release_id), None)

    def find_asset(self, asset_id: int) -> tuple[Release, Asset] | None:
        found = ((release, asset) for release in self.releases for asset in release.assets if asset.id == asset_id)
        return next(found, None)

    def release_json(self, release: Release) -> dict[str, object]:
        path = f"repos/{self.name}/releases/{release.id}"
        tag = f"untagged-{release.id:08x}" if release.draft else release.tag
        return {
            "id": release.id,
            "url": f"{self.api_url}/{path}",
            "assets_url": f"{self.api_url}/{path}/assets",
            "upload_url": f"{self.storage_url}/api/uploads/{path}/assets{{?name,label}}",
            "html_url": f"{self.url}/{self.name}/releases/tag/{tag}",
            "tag_name": release.tag,
            "name": release.name,
            "body": release.body,
            "draft": release.draft,
            "prerelease": release.prerelease,
            "assets": [self.asset_json(release, asset) for asset in release.assets],
        }

    def asset_json(self, release: Release, asset: Asset) -> dict[str, object]:
        tag = f"untagged-{release.id:08x}" if release.draft else release.tag
        told = {"digest": f"sha256:{asset.sha256}" if asset.state == "uploaded" else None} if self.gives_digests else {}
        return {
            "id": asset.id,
            "url": f"{self.api_url}/repos/{self.name}/releases/assets/{asset.id}",
            "browser_download_url": f"{self.url}/{self.name}/releases/download/{tag}/{asset.name}",
            "name": asset.name,
            "state": asset.state,
            "size": asset.size,
            **told,
        }


class _Server(ThreadingHTTPServer):
    def __init__(self, github: GithubServer, handler: type[Handler]) -> None:
        super().__init__(("127.0.0.1", 0), type(handler.__name__, (handler,), {"github": github}))
        self._github = github

    def handle_error(self, *_: object) -> None:
        error = sys.exc_info()[1]
        # Clients that are killed, or hang up, are what this server is for.
        if isinstance(error, Exception) and not isinstance(error, ConnectionError | ClientGone):
            self._github.mistakes.append(error)
