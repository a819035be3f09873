"""The host of the GitHub of `github_server` that takes uploads and sends what was uploaded."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from tests.release.github_handler import BLOCK, ClientGone, Handler

if TYPE_CHECKING:
    from tests.release.github_server import Asset


class Storage(Handler):
    def _upload(self, repository: str, release_id: str) -> None:
        github = self.github
        if not self.is_authorized():
            return
        release = github.find(int(release_id)) if repository == github.name else None
        if release is None:
            self.send(404, {"message": "Not Found"})
            return
        # GitHub's own names for what it does not like in one.
        name = re.sub(r"[^\w.+-]", ".", self.query["name"], flags=re.ASCII).strip(".")
        with github.lock:
            if any(asset.name == name for asset in release.assets):
                self.already_exists("ReleaseAsset", "name")
                return
            asset = github.new_asset(release, name)
            break_after = github.break_after.pop(0) if github.break_after else None
            hold_after, github.hold_after = github.hold_after, None
        try:
            asset.fill(self._interrupted(break_after, hold_after))
        except ClientGone:
            self._hang_up_quietly()
            return
        github.changes.append(f"upload {name}")
        self.send(201, github.asset_json(release, asset))

    def _interrupted(self, break_after: int | None, hold_after: int | None) -> Iterator[bytes]:
        done = 0
        for block in self.body():
            yield block
            done += len(block)
            if break_after is not None and done >= break_after:
                raise ClientGone
            if hold_after is not None and done >= hold_after:
                self.github.upload_held.set()
                self.github.resumed.wait()

    def _hang_up_quietly(self) -> None:
        try:
            self.hang_up()
        except OSError:
            self.close_connection = True  # the client was faster

    def _send_stored(self, asset_id: str) -> None:
        found = self.github.find_asset(int(asset_id))
        if "Authorization" in self.headers:
            self.send(400, b"Only one auth mechanism allowed")
        elif found is None:
            self.send(404, b"Not Found")
        else:
            self._send_file(found[1])

    def _send_file(self, asset: "Asset") -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        if asked and start >= asset.size:
            self.send(416, headers={"Content-Range": f"bytes */{asset.size}"})
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{asset.size - 1}/{asset.size}")
        self.send_header("Content-Length", str(asset.size - start))
        self.send_header("ETag", f'"{asset.sha256}"')
        self.end_headers()
        if self.command == "GET":
            self.github.downloaded.append(asset.name)
            with asset.path.open("rb") as file:
                file.seek(start)
                while block := file.read(BLOCK):
                    self.wfile.write(block)

    routes: ClassVar = [
        ("POST", r"/api/uploads/repos/([^/]+/[^/]+)/releases/(\d+)/assets", _upload),
        ("GET", r"/storage/(\d+)", _send_stored),
    ]
