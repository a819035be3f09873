"""The publishing flow: finished runs to one release, all of them or none."""

from collections.abc import Sequence

from flows.publish.options import Options
from flows.support.download import transfer_bar
from flows.support.flow_options import flow_of, run_name
from flows.support.inputs import resolve_run
from flows.support.terminal import say
from tasks.release import announce, judge, publish_models, upload_to_github


@flow_of(Options, name="publish", flow_run_name=run_name("publish", runs="", version="as"))
def publish(options: Options) -> list[str]:
    """Publish the models of finished runs in one release: all, or none if the gate or an existing release refuses one.

    Returns the tarballs, and the address of the release on GitHub.
    """
    version, releases = options.version, options.releases
    folders = [resolve_run(run, options.work_dir) for run in options.runs]
    names: Sequence[str | None] = options.models or [None] * len(folders)
    judged = [
        judge(folder, version, releases, name, options.margin_db, options.force)
        for folder, name in zip(folders, names, strict=True)
    ]
    published = publish_models(judged, version, releases, options.github)
    say(f"{one.name} is published against the gate: {one.forced}" for one in published if one.forced)
    page = None
    if options.github:
        with transfer_bar("upload") as report:
            page = upload_to_github(releases / version, published, report)
    for folder, one in zip(folders, published, strict=True):
        announce(folder, one, page)
    return [*(str(one.tarball) for one in published), *([page] if page else [])]


def main(options: Options) -> None:
    """Publish, and print where."""
    say(f"release: {place}" for place in publish(**options.parameters()))
