"""The publishing task."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.release.publish import publish_release
from sepcore.training.run_folder import RunFolder
from tasks.tracking import tracked


@task(task_run_name="publish-{version}", cache_policy=NO_CACHE)
def publish_run(run: RunFolder, version: str, releases: Path, name: str | None, force: bool) -> Path:
    """Run `sepcore.release.publish.publish_release` and say in the run's MLflow run where the release is."""
    tarball = publish_release(run.path, version=version, releases=releases, name=name, force=force)
    finished = run.finished()
    assert finished is not None  # an unfinished run is refused
    with tracked(run, finished["name"]) as tracking:
        tracking.tag("release", version)
        tracking.tag("release_tarball", str(tarball))
    get_run_logger().info("%s published as %s", run.path.name, tarball)
    return tarball
