"""The champion of a model's name in MLflow's registry: the version in its highest release."""

import logging

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE, RESOURCE_DOES_NOT_EXIST, ErrorCode
from semver import Version

from sepcore.errors import DatasetError, TrackingError
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.host import parse_version
from sepcore.release.gate import Champion, Published
from tasks.tracking.registered_model import registered_name, version_of
from tasks.tracking.run import TrackedRun
from tasks.tracking.store import check_store, store_client

CHAMPION = "champion"
"""Alias of the version in the highest release."""

_RELEASE, _SCORES = "release", "release_scores"
_NONE = {ErrorCode.Name(code) for code in (RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE)}
_logger = logging.getLogger(__name__)


def champion_before(name: str, version: str) -> Champion | None:
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
        return Champion(str(released), ScoreSummary.from_json(text) if text else None)
    except DatasetError as error:
        _logger.warning("the champion of %s has no readable scores: %s", name, error)
        return None


def _champion(name: str) -> ModelVersion | None:
    try:
        return store_client().get_model_version_by_alias(registered_name(name), CHAMPION)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code in _NONE:
            return None
        raise


def _released(stored: ModelVersion) -> Version | None:
    """The release that a registered version is in; None of one that was never released."""
    return parse_version(stored.tags.get(_RELEASE, ""))


def make_champion(tracking: TrackedRun, published: Published, address: str) -> None:
    """Tag the registered version of a released run with the release, and make it the champion unless a later one is.

    Args:
        tracking: The run's. A version that the registry lacks is registered first.
        published: What was released.
        address: Of the tarball: a URL or a path.
    """
    scores = published.run.scores
    tags = {_RELEASE: published.version, "release_checksum": published.sha256, "release_tarball": address}
    if scores is not None:
        tags[_SCORES] = scores.to_json()
    if published.forced is not None:
        tags["release_forced"] = published.forced
    for key, value in tags.items():
        if key != _SCORES:
            tracking.tag(key, value)
    tracking.attempt(f"alias {CHAMPION}", lambda: _alias(tracking, published, tags))


def _alias(tracking: TrackedRun, published: Published, tags: dict[str, str]) -> None:
    client, name = store_client(), published.run.record.name
    step = published.run.record.model_step
    stored = version_of(tracking.run_id, name, step)
    if stored is None:
        tracking.register(name, published.run.config, step)
        stored = version_of(tracking.run_id, name, step)
    if stored is None or _is_later(stored, published):
        return  # the store has gone, of which the guard tells; or the same run is in a higher release too
    for key, value in tags.items():
        client.set_model_version_tag(stored.name, stored.version, key, value)
    champion = _champion(name)
    if champion is None or not _is_later(champion, published):
        client.set_registered_model_alias(stored.name, CHAMPION, stored.version)


def _is_later(stored: ModelVersion, published: Published) -> bool:
    released = _released(stored)
    return released is not None and released > published.version
