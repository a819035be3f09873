"""From a folder of a release to a release on GitHub: nobody sees half of it, and running again completes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sepcore.errors import ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE, VerifiedArchive
from sepcore.provider.version import parse_version
from sepcore.release.github_api import open_api
from sepcore.release.github_assets import AssetTransfer, Content, Listed, OnUpload, delete
from sepcore.release.github_errors import no_github, one_line, patiently
from sepcore.release.github_repository import GithubRepository
from sepcore.release.release_folder import TARBALL_SUFFIX, checked_models
from sepcore.system.os_errors import fix_for
from sepcore.system.retries import RetryPolicy

if TYPE_CHECKING:
    from github.GitRelease import GitRelease
    from github.GitReleaseAsset import GitReleaseAsset
    from github.Repository import Repository
    from github.Requester import Requester

PATIENCE = RetryPolicy(tries=5, pause_s=1.0)
# The highest version is the latest release, not the one that was published last: 1.0.1 may come after 2.0.0.
_LATEST = "legacy"


def upload_release(
    folder: Path,
    *,
    tag: str,
    repository: GithubRepository,
    notes: str,
    on_progress: OnUpload | None = None,
    patience: RetryPolicy = PATIENCE,
) -> str:
    """Upload the models of a version to the release of a tag.

    A new release is a draft until all is there. One that is there already, as a draft that was left behind or
    published with other models, gets what it lacks; what it has stays, and ``checksum.json`` lists both. Running again
    is always safe, also after the process was killed: where nothing is missing, nothing is changed.

    Args:
        folder: Holds ``<model>.tar.gz`` files and the ``checksum.json`` that lists them.
        tag: Of the release; GitHub makes it from the default branch where the repository has none. With a pre-release
            version such as ``1.0.0-rc.1`` or ``v1.0.0-rc.1`` the release is marked as one.
        repository: Where to.
        notes: Text of a new release, Markdown; one that is there keeps its own.
        on_progress: Told how far the upload of each file is, about every MiB.
        patience: How long a failing GitHub is asked again.

    Returns:
        Address of the release's page.

    Raises:
        ReleaseError: one line, if the folder is not what its ``checksum.json`` says, if the release has another
            content of the same model, or if GitHub refuses, limits the rate of requests or cannot be reached.
    """
    try:
        models = checked_models(folder)
        with one_line(repository), open_api(repository, patience) as (api, http):
            transfer = AssetTransfer(http, on_progress)
            upload = _Upload(models, tag, notes, repository, api, transfer)
            return patiently(upload.complete, repository, patience, progress=lambda: transfer.num_uploads)
    except OSError as error:
        raise ReleaseError(
            f"cannot be read ({error})",
            path=folder,
            hint=f"{fix_for(error, reading=True)}, and run the same command again.",
            errno=error.errno,
        ) from error


def check_upload(
    folder: Path,
    staged: Mapping[str, VerifiedArchive],
    *,
    tag: str,
    repository: GithubRepository,
    patience: RetryPolicy = PATIENCE,
) -> None:
    """Whether `upload_release` will take a folder once the models that are ``staged`` lie in it; nothing is changed.

    Raises:
        ReleaseError: as `upload_release` does.
    """
    models = checked_models(folder, staged)
    with one_line(repository), open_api(repository, patience) as (api, http):
        upload = _Upload(models, tag, "", repository, api, AssetTransfer(http))
        patiently(upload.check, repository, patience, progress=lambda: 0)


@dataclass
class _Upload:
    """The way of a release's models to GitHub."""

    models: Mapping[str, VerifiedArchive]
    tag: str
    notes: str
    repository: GithubRepository
    api: "Requester"
    transfer: AssetTransfer
    # GitHub's list of releases may be late: a draft of ours is known before it is listed.
    draft: "GitRelease | None" = None

    def check(self) -> None:
        """Look at what is there, and refuse what would be overwritten."""
        for release in self._releases(self._repository())[:1]:
            self._compare(release, {asset.name: asset for asset in release.get_assets()})

    def complete(self) -> str:
        """Look at what is there, bring what is missing, and publish it; the address of the release's page."""
        release = self._release()
        listed = {asset.name: asset for asset in release.get_assets()}
        published, missing = self._compare(release, listed)
        for path, half in missing:
            if half:
                delete(half)
            self.transfer.upload_file(release, path)
        # Last: what it does not list cannot be pulled.
        checksums = {name: model.sha256 for name, model in self.models.items()}
        self.transfer.write_checksums(release, listed, published | checksums)
        return self._published(release).html_url

    def _compare(
        self, release: "GitRelease", listed: Listed
    ) -> "tuple[dict[str, str], list[tuple[Path, GitReleaseAsset | None]]]":
        """The checksums that a release has, and the files that it lacks, each with the half of it that is there."""
        published = self.transfer.checksums(listed)
        for name, model in self.models.items():
            if published.get(name, model.sha256) != model.sha256:
                self._refuse(f"{CHECKSUM_FILE} there lists another {name} ({published[name][:12]}…)", release)
        missing = []
        for name, model in sorted(self.models.items()):
            there = listed.get(f"{name}{TARBALL_SUFFIX}")
            state = self.transfer.compare(there, model.path, model.sha256) if there else Content.PART
            if there and state is Content.OTHER:
                self._refuse(f"{there.name} is there with other content", release)
            if state is Content.PART:
                missing.append((model.path, there))
        return published, missing

    def _repository(self) -> "Repository":
        from github.Repository import Repository

        repository = Repository(self.api, url=f"/repos/{self.repository.repository}")
        if "id" not in repository.raw_data:
            raise no_github(self.repository, "no repository in its answer")
        return repository

    def _release(self) -> "GitRelease":
        """The release of the tag; a new draft if there is none."""
        repository = self._repository()
        releases = self._releases(repository)
        if not releases:
            self.draft = repository.create_git_release(
                self.tag,
                name=self.tag,
                message=self.notes,
                draft=True,
                prerelease=self._is_prerelease,
                make_latest=_LATEST,
            )
            # GitHub takes any number of drafts of a tag. Of two uploads that make one at once, both go on with the
            # older.
            releases = self._releases(repository)
            if releases[0].id != self.draft.id:
                self.draft.delete_release()
                self.draft = None
        return releases[0]

    def _releases(self, repository: "Repository") -> "list[GitRelease]":
        """All releases of the tag; the published one first, then the drafts by age."""
        # A draft has no address of its own by tag: all releases have to be gone through.
        releases = {release.id: release for release in repository.get_releases() if release.tag_name == self.tag}
        if self.draft:
            releases.setdefault(self.draft.id, self.draft)
        return sorted(releases.values(), key=lambda release: (release.draft, release.id))

    def _published(self, release: "GitRelease") -> "GitRelease":
        if not release.draft:
            return release
        return release.update_release(
            release.name or self.tag,
            release.body or self.notes,
            draft=False,
            prerelease=self._is_prerelease,
            make_latest=_LATEST,
        )

    @property
    def _is_prerelease(self) -> bool:
        version = parse_version(self.tag.removeprefix("v"))
        return version is not None and version.prerelease is not None

    def _refuse(self, reason: str, release: "GitRelease") -> NoReturn:
        hint = "Give the next version, or delete the draft." if release.draft else "Give the next version."
        raise ReleaseError(f"{reason}, and a version is never overwritten", path=release.html_url, hint=hint)
