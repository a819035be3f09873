"""Upload a release's folder to GitHub: nobody sees half of it, and running again completes it."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel

from sepcore.errors import ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE, VerifiedArchive
from sepcore.provider.host import parse_version
from sepcore.release.github_assets import Asset, Assets, AssetTransfer, Checksums, OnUpload, sha256_of_beginning
from sepcore.release.github_client import GithubClient
from sepcore.release.github_repository import GithubRepository
from sepcore.release.publish import TARBALL_SUFFIX, checked_models
from sepcore.system.os_errors import fix_for
from sepcore.system.retries import RetryPolicy

RETRIES = RetryPolicy(tries=5, pause_s=1.0)
# GitHub's "latest" is the highest version, not the last published one: 1.0.1 may come after 2.0.0.
_LATEST = "legacy"


def upload_release(
    folder: Path,
    *,
    tag: str,
    repository: GithubRepository,
    notes: str,
    on_progress: OnUpload | None = None,
    retries: RetryPolicy = RETRIES,
) -> str:
    """Upload the models of a version to the release of a tag.

    A new release stays a draft until it is complete. An existing release or draft keeps its models and gets the missing
    ones; ``checksum.json`` lists both. Running again is always safe, also after a kill, and changes nothing if nothing
    is missing.

    Args:
        folder: See `checked_models`.
        tag: Of the release, made from the default branch if need be; ``1.0.0-rc.1`` or ``v1.0.0-rc.1`` marks it as a
            pre-release.
        repository: Where to upload.
        notes: Markdown for a new release; an existing one keeps its own.
        on_progress: Told after every MiB how far the upload of each file is.
        retries: How often failing requests are repeated.

    Returns:
        Address of the release's page.

    Raises:
        ReleaseError: if the folder does not match its ``checksum.json``, the release has other content of the same
            model, or GitHub refuses, limits the rate of requests or cannot be reached.
    """
    try:
        models = checked_models(folder)
        with GithubClient.open(repository, retries) as client:
            transfer = AssetTransfer(client, on_progress)
            upload = _Upload(client, transfer, models, tag, notes)
            return client.patiently(upload.complete, lambda: transfer.num_uploads)
    except OSError as error:
        hint = f"{fix_for(error, reading=True)}, and run the same command again."
        raise ReleaseError(f"cannot be read ({error})", path=folder, hint=hint, errno=error.errno) from error


def check_upload(
    folder: Path,
    staged: Mapping[str, VerifiedArchive],
    *,
    tag: str,
    repository: GithubRepository,
    retries: RetryPolicy = RETRIES,
) -> None:
    """Raise what `upload_release` would raise once the ``staged`` models are in the folder; nothing is changed."""
    models = checked_models(folder, staged)
    with GithubClient.open(repository, retries) as client:
        client.patiently(_Upload(client, AssetTransfer(client), models, tag).check, lambda: 0)


class _Release(BaseModel):
    """A release, as GitHub describes it."""

    id: int
    tag_name: str
    draft: bool
    name: str | None = None
    body: str | None = None
    html_url: str
    url: str
    assets_url: str
    upload_url: str


@dataclass
class _Upload:
    """The upload of a release's models."""

    client: GithubClient
    transfer: AssetTransfer
    models: Mapping[str, VerifiedArchive]
    tag: str
    notes: str = ""
    # Our own draft may not be in GitHub's list of releases yet.
    draft: _Release | None = None

    def check(self) -> None:
        """Raise ReleaseError if something would be overwritten."""
        for release in self._releases()[:1]:
            there = self._assets(release)
            self._missing(release, there, self.transfer.checksums(there))

    def complete(self) -> str:
        """Upload what is missing and publish the release; the address of its page."""
        release = self._release()
        there = self._assets(release)
        lists = self.transfer.checksums(there)
        for path in self._missing(release, there, lists):
            with path.open("rb") as file:
                self.transfer.upload(release.upload_url, there, path.name, file, path.stat().st_size)
        # Last: a model can be fetched only once it is listed.
        checksums = _union(lists) | {name: model.sha256 for name, model in self.models.items()}
        self.transfer.write_checksums(release.upload_url, there, lists, checksums)
        if release.draft:
            name, body = release.name or self.tag, release.body or self.notes
            release = self._change("PATCH", release.url, name=name, body=body, draft=False)
        return release.html_url

    def _assets(self, release: _Release) -> Assets:
        return {asset.name: asset for asset in self.client.all_of(Asset, release.assets_url)}

    def _missing(self, release: _Release, there: Assets, lists: Checksums) -> list[Path]:
        """The files that a release lacks or has only half; ReleaseError if it has other content of one."""
        published, missing = _union(lists), []
        for name, model in sorted(self.models.items()):
            if published.get(name, model.sha256) != model.sha256:
                _refuse(f"{CHECKSUM_FILE} there lists another {name} ({published[name][:12]}…)", release)
            asset = there.get(f"{name}{TARBALL_SUFFIX}")
            if asset and asset.is_whole:
                digest = self.transfer.sha256(asset)
                if digest == model.sha256:
                    continue
                if digest != sha256_of_beginning(model.path, asset.size):
                    _refuse(f"{asset.name} is there with other content", release)
            missing.append(model.path)
        return missing

    def _release(self) -> _Release:
        """The release of the tag; a new draft if there is none."""
        releases = self._releases()
        if not releases:
            self.draft = self._change("POST", "/releases", name=self.tag, body=self.notes, draft=True)
            # GitHub allows several drafts of a tag. Two uploads that make one at once both continue with the older.
            releases = self._releases()
            if releases[0].id != self.draft.id:
                self.client.send("DELETE", self.draft.url)
                self.draft = None
        return releases[0]

    def _releases(self) -> list[_Release]:
        """All releases of the tag; the published one first, then the drafts by age."""
        # A draft cannot be asked for by its tag: read all releases.
        listed = self.client.all_of(_Release, "/releases")
        releases = {release.id: release for release in listed if release.tag_name == self.tag}
        if self.draft:
            releases.setdefault(self.draft.id, self.draft)
        return sorted(releases.values(), key=lambda release: (release.draft, release.id))

    def _change(self, method: str, url: str, **fields: object) -> _Release:
        version = parse_version(self.tag.removeprefix("v"))
        kind = {"tag_name": self.tag, "prerelease": bool(version and version.prerelease), "make_latest": _LATEST}
        return _Release.model_validate_json(self.client.send(method, url, json=kind | fields).content)


def _union(lists: Checksums) -> dict[str, str]:
    """All lists in one; where they contradict each other, the one in place counts."""
    return dict(ChainMap(lists.get(CHECKSUM_FILE, {}), *lists.values()))


def _refuse(reason: str, release: _Release) -> NoReturn:
    hint = "Give the next version, or delete the draft." if release.draft else "Give the next version."
    raise ReleaseError(f"{reason}, and a version is never overwritten", path=release.html_url, hint=hint)
