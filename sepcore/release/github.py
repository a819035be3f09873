"""From a folder of a release to a release on GitHub: nobody sees half of it, and running again completes it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from sepcore.errors import ReleaseError
from sepcore.provider.checksum import CHECKSUM_FILE
from sepcore.provider.version import parse_version
from sepcore.release.github_assets import AssetTransfer, Content, OnUpload, delete
from sepcore.release.github_errors import no_github, one_line, patiently
from sepcore.release.github_repository import GithubRepository
from sepcore.release.release_folder import TARBALL_SUFFIX, checked_checksums
from sepcore.retries import Patience

if TYPE_CHECKING:
    from github import Github
    from github.GitRelease import GitRelease
    from github.Repository import Repository

PATIENCE = Patience(tries=5, pause_s=1.0)
# The most that GitHub gives at a time.
_PER_PAGE = 100
_API_VERSION = "2022-11-28"
# The highest version is the latest release, not the one that was published last: 1.0.1 may come after 2.0.0.
_LATEST = "legacy"


def upload_release(
    folder: Path,
    *,
    tag: str,
    repository: GithubRepository,
    notes: str,
    on_progress: OnUpload | None = None,
    patience: Patience = PATIENCE,
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
        checksums = checked_checksums(folder)
        with one_line(repository), _opened(repository, patience, on_progress) as (api, transfer):
            upload = _Upload(folder, checksums, tag, notes, repository, api, transfer)
            return patiently(upload.complete, repository, patience, progress=lambda: transfer.num_uploads)
    except OSError as error:
        raise ReleaseError(f"{folder}: cannot be read ({error}); run the same command again.") from error


@contextmanager
def _opened(
    repository: GithubRepository, patience: Patience, on_progress: OnUpload | None
) -> "Iterator[tuple[Github, AssetTransfer]]":
    """The API, and the carrier of files' content; both with the token."""
    import httpx
    from github import Auth, Github

    # Its own retries know of nothing but single requests, and its pauses are meant for hundreds of them.
    api = Github(
        base_url=repository.api_url,
        auth=Auth.Token(repository.token),
        timeout=patience.timeout_s,
        per_page=_PER_PAGE,
        retry=None,
        seconds_between_requests=None,
        seconds_between_writes=None,
        api_version=_API_VERSION,
    )
    headers = {"Authorization": f"Bearer {repository.token}", "X-GitHub-Api-Version": _API_VERSION}
    with api, httpx.Client(headers=headers, timeout=patience.timeout_s) as http:
        yield api, AssetTransfer(http, on_progress)


@dataclass
class _Upload:
    """One folder's way to GitHub."""

    folder: Path
    checksums: dict[str, str]
    tag: str
    notes: str
    repository: GithubRepository
    api: "Github"
    transfer: AssetTransfer
    # GitHub's list of releases may be late: a draft of ours is known before it is listed.
    draft: "GitRelease | None" = None

    def complete(self) -> str:
        """Look at what is there, bring what is missing, and publish it; the address of the release's page."""
        release = self._release()
        listed = {asset.name: asset for asset in release.get_assets()}
        published = self.transfer.checksums(listed)
        for name, digest in self.checksums.items():
            if published.get(name, digest) != digest:
                self._refuse(f"{CHECKSUM_FILE} there lists another {name} ({published[name][:12]}…)", release)
        missing = []
        for name, digest in sorted(self.checksums.items()):
            path = self.folder / f"{name}{TARBALL_SUFFIX}"
            there = listed.get(path.name)
            state = self.transfer.compare(there, path, digest) if there else Content.PART
            if state is Content.OTHER:
                self._refuse(f"{path.name} is there with other content", release)
            if state is Content.PART:
                missing.append((path, there))
        for path, half in missing:
            if half:
                delete(half)
            self.transfer.upload_file(release, path)
        # Last: what it does not list cannot be pulled.
        self.transfer.write_checksums(release, listed, published | self.checksums)
        return self._published(release).html_url

    def _release(self) -> "GitRelease":
        """The release of the tag; a new draft if there is none."""
        repository = self.api.get_repo(self.repository.repository)
        if "id" not in repository.raw_data:
            raise ReleaseError(no_github(self.repository, "no repository in its answer"))
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
        cure = "give the next version, or delete the draft" if release.draft else "give the next version"
        raise ReleaseError(f"{release.html_url}: {reason}, and a version is never overwritten; {cure}.")
