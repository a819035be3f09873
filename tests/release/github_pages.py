"""The API of the GitHub of `github_server`, and the pages that a browser downloads from."""

from typing import ClassVar
from urllib.parse import urlsplit

from tests.release.github_handler import Handler, authorized


class Pages(Handler):
    def _list(self, items: list[dict[str, object]]) -> None:
        size = min(int(self.query.get("per_page", 30)), self.github.per_page)
        page = int(self.query.get("page", 1))
        first, last = (page - 1) * size, -(-len(items) // size)
        here = f"{self.github.url}{urlsplit(self.path).path}?per_page={size}"
        links = [f'<{here}&page={page + 1}>; rel="next"', f'<{here}&page={last}>; rel="last"'] if page < last else []
        self.send(200, items[first : first + size], {"Link": ", ".join(links)} if links else {})

    def _list_releases(self) -> None:
        self._list([self.github.release_json(release) for release in reversed(self.github.releases)])

    def _is_taken(self, tag: object) -> bool:
        return any(release.tag == tag and not release.draft for release in self.github.releases)

    def _create(self) -> None:
        wanted = self.json()
        if self._is_taken(wanted["tag_name"]):
            self.already_exists("Release", "tag_name")
            return
        draft = bool(wanted.get("draft", False))
        release = self.github.add_release(str(wanted["tag_name"]), draft=draft, prerelease=bool(wanted["prerelease"]))
        release.name, release.body = str(wanted["name"]), str(wanted["body"])
        self.github.changes.append(f"create {'draft ' if draft else ''}{release.tag}")
        self.send(201, self.github.release_json(release))

    def _update(self, release_id: str) -> None:
        release, wanted = self.github.find(int(release_id)), self.json()
        if release is None:
            self.send(404, {"message": "Not Found"})
            return
        if release.draft and wanted.get("draft") is False:
            if self._is_taken(release.tag):
                self.already_exists("Release", "tag_name")
                return
            release.draft = False
            self.github.changes.append(f"publish {release.tag}")
        for key in ("name", "body", "prerelease"):
            setattr(release, key, wanted.get(key, getattr(release, key)))
        self.send(200, self.github.release_json(release))

    def _delete_release(self, release_id: str) -> None:
        release = self.github.find(int(release_id))
        if release is None:
            self.send(404, {"message": "Not Found"})
            return
        self.github.releases.remove(release)
        self.github.changes.append(f"delete draft {release.tag}" if release.draft else f"delete {release.tag}")
        self.send(204)

    def _list_assets(self, release_id: str) -> None:
        release = self.github.find(int(release_id))
        if release is None:
            self.send(404, {"message": "Not Found"})
            return
        self._list([self.github.asset_json(release, asset) for asset in release.assets])

    def _get_asset(self, asset_id: str) -> None:
        found = self.github.find_asset(int(asset_id))
        if found is None:
            self.send(404, {"message": "Not Found"})
        elif self.headers.get("Accept") == "application/octet-stream":
            self.redirect(f"{self.github.storage_url}/storage/{asset_id}")
        else:
            self.send(200, self.github.asset_json(*found))

    def _rename_asset(self, asset_id: str) -> None:
        found, name = self.github.find_asset(int(asset_id)), str(self.json()["name"])
        if found is None:
            self.send(404, {"message": "Not Found"})
            return
        release, asset = found
        if any(other.name == name and other is not asset for other in release.assets):
            self.already_exists("ReleaseAsset", "name")
            return
        self.github.changes.append(f"rename {asset.name} {name}")
        asset.name = name
        self.send(200, self.github.asset_json(release, asset))

    def _delete_asset(self, asset_id: str) -> None:
        found = self.github.find_asset(int(asset_id))
        if found is None:
            self.send(404, {"message": "Not Found"})
            return
        release, asset = found
        release.assets.remove(asset)
        self.github.changes.append(f"delete {asset.name}")
        self.send(204)

    def _download(self, repository: str, tag: str, name: str) -> None:
        for release in self.github.releases if repository == self.github.name else []:
            for asset in release.assets:
                if (release.tag, release.draft, asset.name, asset.state) == (tag, False, name, "uploaded"):
                    self.redirect(f"{self.github.storage_url}/storage/{asset.id}")
                    return
        self.send(404, b"Not Found")

    def _download_latest(self, repository: str, name: str) -> None:
        latest = [release for release in self.github.releases if not (release.draft or release.prerelease)]
        if latest:
            self.redirect(f"{self.github.url}/{repository}/releases/download/{latest[-1].tag}/{name}")
        else:
            self.send(404, b"Not Found")

    _API = r"/api/v3/repos/([^/]+/[^/]+)"
    routes: ClassVar = [
        ("GET", rf"{_API}/releases", authorized(_list_releases)),
        ("POST", rf"{_API}/releases", authorized(_create)),
        ("PATCH", rf"{_API}/releases/(\d+)", authorized(_update)),
        ("DELETE", rf"{_API}/releases/(\d+)", authorized(_delete_release)),
        ("GET", rf"{_API}/releases/(\d+)/assets", authorized(_list_assets)),
        ("GET", rf"{_API}/releases/assets/(\d+)", authorized(_get_asset)),
        ("PATCH", rf"{_API}/releases/assets/(\d+)", authorized(_rename_asset)),
        ("DELETE", rf"{_API}/releases/assets/(\d+)", authorized(_delete_asset)),
        ("GET", r"/([^/]+/[^/]+)/releases/latest/download/([^/]+)", _download_latest),
        ("GET", r"/([^/]+/[^/]+)/releases/download/(.+)/([^/]+)", _download),
    ]
