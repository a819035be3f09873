"""The files of a release on GitHub: compare them with ours, and upload them in blocks."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel

from sepcore.errors import ProviderError, ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE, parse_checksums
from sepcore.release.github_client import GithubClient, GithubError
from sepcore.system.foreign import MAX_BYTES

OnUpload = Callable[[str, int, int], None]
"""Called with a file's name, its bytes sent so far and in all; starts again from 0 when the file is sent again."""

# A new list is uploaded under another name, and then takes the old one's place.
_IS_LIST = re.compile(rf"{re.escape(CHECKSUM_FILE)}|checksum\.[0-9a-f]{{12}}\.json").fullmatch
_BLOCK = 1 << 20


class Asset(BaseModel):
    """A file of a release, as GitHub describes it."""

    id: int
    name: str
    state: str
    size: int
    url: str
    browser_download_url: str = ""
    digest: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether its upload was completed."""
        return self.state == "uploaded"


Assets = dict[str, Asset]
"""The files of a release by name, at the last look."""
Checksums = dict[str, dict[str, str]]
"""A release's ``checksum.json`` and lists that wait to take its place, by file name: SHA-256 of models by name."""


class AssetTransfer:
    """Uploads and downloads files of a release; ``num_uploads`` counts the uploads."""

    def __init__(self, client: GithubClient, on_upload: OnUpload | None = None) -> None:
        self._client, self._on_upload = client, on_upload
        self._digests: dict[int, str] = {}  # by a file's id, which changes with its content
        self.num_uploads = 0

    def sha256(self, asset: Asset) -> str:
        """SHA-256 of a file; it is downloaded if the host, an older Enterprise, does not tell."""
        algorithm, _, told = (asset.digest or "").partition(":")
        if algorithm == "sha256":
            return told.lower()
        if asset.id not in self._digests:
            digest = hashlib.sha256()
            for block in self._client.blocks(asset.url, _BLOCK, asset=asset.name):
                digest.update(block)
            self._digests[asset.id] = digest.hexdigest()
        return self._digests[asset.id]

    def checksums(self, there: Assets) -> Checksums:
        """Read the lists of checksums; `ReleaseError` if one is damaged."""
        lists = {}
        for name, asset in there.items():
            if _IS_LIST(name) and asset.is_whole:
                with closing(self._client.blocks(asset.url, MAX_BYTES + 1, asset=name)) as blocks:
                    content = next(blocks, b"")
                try:
                    lists[name] = parse_checksums(content, asset.browser_download_url)
                except ProviderError as error:
                    hint = "Delete it on the release's page, and run this command again."
                    raise ReleaseError(error.problem, path=error.path, hint=hint) from error
        return lists

    def write_checksums(self, upload_url: str, there: Assets, lists: Checksums, checksums: dict[str, str]) -> None:
        """Replace a release's ``checksum.json`` with ``checksums``, which include all ``lists``.

        No file can be overwritten on GitHub: a new list is uploaded beside the old one, and takes its name once that is
        deleted. A list is deleted only when a whole one with at least the same models is there. So no model is lost
        when a process is killed, or when others add models at the same time.
        """
        content = f"{json.dumps(checksums, indent=2, sort_keys=True)}\n".encode()
        # Named by its content, so that two uploads of the same list do not block each other.
        waiting = f"checksum.{hashlib.sha256(content).hexdigest()[:12]}.json"
        kept = next((there[name] for name in (CHECKSUM_FILE, waiting) if lists.get(name) == checksums), None)
        kept = kept or self.upload(upload_url, there, waiting, io.BytesIO(content), len(content))
        # Half a list under another waiting name is kept: somebody else may be uploading it.
        for name in sorted({CHECKSUM_FILE, *lists} & set(there)):
            if there[name].id != kept.id:
                self._delete(there[name])
        if kept.name != CHECKSUM_FILE:
            self._client.send("PATCH", kept.url, asset=kept.name, json={"name": CHECKSUM_FILE})

    def upload(self, upload_url: str, there: Assets, name: str, content: BinaryIO, size: int) -> Asset:
        """Upload a file, instead of an incomplete one that is ``there``."""
        if half := there.pop(name, None):
            self._delete(half)
        response = self._client.send(
            "POST",
            upload_url.partition("{")[0],
            params={"name": name},
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            content=self._blocks(name, content, size),
            follow_redirects=False,  # the content is read only once
        )
        asset = Asset.model_validate_json(response.content)
        if not asset.is_whole or asset.size != size:
            self._delete(asset)
            raise GithubError(f"{name} arrived as {asset.size} of {size} bytes, {asset.state}")
        self.num_uploads += 1
        return asset

    def _blocks(self, name: str, content: BinaryIO, size: int) -> Iterator[bytes]:
        while block := content.read(_BLOCK):
            yield block
            if self._on_upload:
                self._on_upload(name, content.tell(), size)

    def _delete(self, asset: Asset) -> None:
        self._client.send("DELETE", asset.url, asset=asset.name)


def sha256_of_beginning(path: Path, size: int) -> str:
    """SHA-256 of the first bytes of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK))):
            digest.update(block)
            size -= len(block)
    return digest.hexdigest()
