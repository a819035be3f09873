"""Tasks of publishing: releases, and the champion of a model's name in MLflow's registry, its highest release."""

import logging
from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from semver import Version

from sepcore.errors import DatasetError, TrackingError
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.checksum import VerifiedArchive
from sepcore.provider.host import parse_version
from sepcore.release.card import release_notes
from sepcore.release.gate import Candidate, Champion, Published, judge_run
from sepcore.release.github import check_upload, upload_release
from sepcore.release.github_assets import OnUpload
from sepcore.release.github_repository import GithubRepository
from sepcore.release.publish import publish_candidates
from sepcore.release.training_record import ReleasableRun
from sepcore.training.run_folder import RunFolder
from tasks.artifacts import show_link
from tasks.tracking.registered_model import registered_name, version_of
from tasks.tracking.run import TrackedRun, tracked
from tasks.tracking.store import check_store, store_client

_CHAMPION = "champion"
_RELEASE, _SCORES = "release", "release_scores"
_NONE = {ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)}
_logger = logging.getLogger(__name__)


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
        champion=_champion_before(finished.record.name, version),
        margin_db=margin_db,
        force=force,
    )
    if candidate.forced is not None:
        get_run_logger().warning("%s", candidate.forced)
    return candidate


@task(task_run_name="publish-{version}", cache_policy=NO_CACHE)
def publish_models(candidates: list[Candidate], version: str, releases: Path, github: bool) -> list[Published]:
    """Run `sepcore.release.publish.publish_candidates`; with ``github`` only if the repository there takes all, too."""

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
    """Show where a release is: tags and the champion's alias in MLflow, a link in Prefect.

    A run's version in the registry becomes the champion unless a later release is; one that the registry lacks is
    registered first.

    Args:
        run: The run that was released.
        published: Its release.
        page: Of the release on GitHub; None if it lies in a folder only.
    """
    tarball = published.tarball.absolute()
    tags = {
        _RELEASE: published.version,
        "release_checksum": published.sha256,
        "release_tarball": page or str(tarball),
    }
    if published.forced is not None:
        tags["release_forced"] = published.forced
    with tracked(run, published.run.record.name) as tracking:
        for key, value in tags.items():
            tracking.tag(key, value)
        if published.run.scores is not None:
            tags[_SCORES] = published.run.scores.to_json()
        tracking.attempt(f"alias {_CHAMPION}", lambda: _make_champion(tracking, published, tags))
    title = f"{published.name} {published.version}"
    show_link(f"release {published.name}", page or tarball.as_uri(), title, f"SHA-256 {published.sha256}")


def _champion_before(name: str, version: str) -> Champion | None:
    """The champion of a model's name; None if there is none, no store, or only one of ``version`` or a later one."""
    try:
        check_store()
        stored = _champion(name)
    except mlflow.exceptions.MlflowException as error:
        _logger.warning("MLflow's registry does not say which version of %s is the champion: %s", name, error)
        return None
    except TrackingError as error:
        _logger.warning("no champion of %s to compare with: %s", name, error)
        return None
    released = _released(stored) if stored else None
    if stored is None or released is None or released >= version:
        return None
    text = stored.tags.get(_SCORES)
    try:
        return Champion(str(released), ScoreSummary.from_json(text) if text else None, "MLflow's registry")
    except DatasetError as error:
        _logger.warning("the champion of %s has no readable scores: %s", name, error)
        return None


def _champion(name: str) -> ModelVersion | None:
    try:
        return store_client().get_model_version_by_alias(registered_name(name), _CHAMPION)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in _NONE:
            return None
        raise


def _released(stored: ModelVersion) -> Version | None:
    """The release that a registered version is in, if any."""
    return parse_version(stored.tags.get(_RELEASE, ""))


def _make_champion(tracking: TrackedRun, published: Published, tags: dict[str, str]) -> None:
    client, name = store_client(), published.run.record.name
    step = published.run.record.model_step
    stored = version_of(tracking.run_id, name, step)
    if stored is None:
        tracking.register(name, published.run.config, step)
        stored = version_of(tracking.run_id, name, step)
    if stored is None or _is_later(stored, published):
        return  # the store has gone, as its guard reports; or the same run is in a higher release too
    for key, value in tags.items():
        client.set_model_version_tag(stored.name, stored.version, key, value)
    champion = _champion(name)
    if champion is None or not _is_later(champion, published):
        client.set_registered_model_alias(stored.name, _CHAMPION, stored.version)


def _is_later(stored: ModelVersion, published: Published) -> bool:
    released = _released(stored)
    return released is not None and released > published.version
