"""The publishing task."""

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.provider.checksum import VerifiedArchive
from sepcore.release.card import release_notes
from sepcore.release.gate import Candidate, Published, judge_run
from sepcore.release.github import check_upload, upload_release
from sepcore.release.github_assets import OnUpload
from sepcore.release.github_repository import GithubRepository
from sepcore.release.publish import publish_candidates
from sepcore.release.training_record import ReleasableRun
from sepcore.training.run_folder import RunFolder
from tasks.artifacts import show_link
from tasks.champion import champion_before, make_champion
from tasks.tracking.run import tracked


@task(task_run_name="judge-{run.path.name}", cache_policy=NO_CACHE)
def judge(run: RunFolder, version: str, releases: Path, name: str | None, margin_db: float, force: bool) -> Candidate:
    """Run `sepcore.release.gate.judge_run` beside the champion of the registry."""
    finished = ReleasableRun.load(run.path)
    if finished.scores is not None and finished.scores_note:
        get_run_logger().warning("%s: %s", run.path.name, finished.scores_note)
    candidate = judge_run(
        run.path,
        version=version,
        releases=releases,
        name=name,
        champion=champion_before(finished.record.name, version),
        margin_db=margin_db,
        force=force,
    )
    if candidate.forced is not None:
        get_run_logger().warning("%s", candidate.forced)
    return candidate


@task(task_run_name="publish-{version}", cache_policy=NO_CACHE)
def publish_models(candidates: list[Candidate], version: str, releases: Path, github: bool) -> list[Published]:
    """Run `sepcore.release.publish.publish_candidates`; with ``github`` if the repository there will take all, too."""

    def check(staged: Mapping[str, VerifiedArchive]) -> None:
        if github:
            check_upload(releases / version, staged, tag=version, repository=GithubRepository.from_environment())

    published = publish_candidates(candidates, releases, check=check)
    for one in published:
        get_run_logger().info("%s published as %s", one.name, one.tarball)
    return published


@task(task_run_name="upload-{folder.name}", cache_policy=NO_CACHE)
def upload_to_github(folder: Path, published: list[Published], report: OnUpload) -> str:
    """Run `sepcore.release.github.upload_release` for a version's folder; the address of the release's page."""
    repository = GithubRepository.from_environment()
    notes = release_notes(published, repository.repository)
    return upload_release(folder, tag=folder.name, repository=repository, notes=notes, on_progress=report)


@task(task_run_name="announce-{published.name}-{published.version}", cache_policy=NO_CACHE)
def announce(run: RunFolder, published: Published, page: str | None) -> None:
    """Say where a release is: champion and tags in MLflow, a link in Prefect.

    Args:
        run: What was released.
        published: What it was released as.
        page: Of the release on GitHub; None if it lies in a folder only.
    """
    tarball = published.tarball.absolute()
    with tracked(run, published.run.record.name) as tracking:
        make_champion(tracking, published, page or str(tarball))
    title = f"{published.name} {published.version}"
    show_link(f"release {published.name}", page or tarball.as_uri(), title, f"SHA-256 {published.sha256}")
