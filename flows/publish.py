"""Finished runs to a versioned release: <releases>/<version>/<model>.tar.gz with its checksum, and to GitHub."""

import argparse
from pathlib import Path

from flows.runs import resolve_run
from flows.support.command import (
    add_releases_option,
    add_run_options,
    check_first,
    command_parser,
    release_version,
    run_command,
    set_up_process,
)
from flows.support.prefect_server import start_prefect
from sepcore.release.finished_run import FinishedRun
from sepcore.release.gate import MARGIN_DB
from sepcore.release.github_repository import GithubRepository


def _arguments() -> argparse.Namespace:
    parser = command_parser(
        "publish",
        f"{__doc__} Refused (exit code 1) unless every stem beats the untouched mixture and none is worse than in the "
        "champion, the model of this name that was released last. Of several runs all are published, or none.",
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run: its folder, its name, or its MLflow run id")
    parser.add_argument(
        "--version", type=release_version, required=True, metavar="V", help="semantic version, e.g. 1.0.0"
    )
    parser.add_argument(
        "--models",
        "--name",
        nargs="+",
        metavar="NAME",
        help="names of the models, one for each RUN (default: the runs')",
    )
    add_releases_option(parser)
    parser.add_argument(
        "--margin",
        type=_decibels,
        default=MARGIN_DB,
        metavar="DB",
        help=f"by how much a stem's median SDR may be below the champion's (default: {MARGIN_DB})",
    )
    parser.add_argument("--force", action="store_true", help="publish though the gate refuses; the card will say so")
    parser.add_argument(
        "--github",
        action="store_true",
        help="upload the version's release to GITHUB_REPOSITORY on GITHUB_HOST, with GITHUB_TOKEN",
    )
    add_run_options(parser)
    arguments = parser.parse_args()
    if arguments.models is not None and len(arguments.models) != len(arguments.runs):
        parser.error(f"--models has {len(arguments.models)} names for {len(arguments.runs)} runs; give one for each")
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    start_prefect()
    return arguments


def _decibels(text: str) -> float:
    try:
        decibels = float(text)
    except ValueError:
        decibels = -1
    if not 0 <= decibels < 100:
        raise argparse.ArgumentTypeError(f"{text} is no margin; give decibels from 0 on, e.g. 0.1")
    return decibels


def _check(arguments: argparse.Namespace) -> None:
    if arguments.github:
        GithubRepository.from_environment()
    for run in arguments.runs:
        FinishedRun.load(resolve_run(run, arguments.work_dir).path)


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402

from flows.support.download import upload_bar  # noqa: E402
from flows.support.parameters import Decibels, Version  # noqa: E402
from flows.support.run_names import run_name  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402
from tasks.release import announce, judge, publish_models, upload_to_github  # noqa: E402


@flow(name="publish", flow_run_name=run_name("publish", runs="", version="as"), on_running=[note_run])
def publish(
    runs: list[str],
    version: Version,
    models: list[str] | None = None,
    releases: Path = Path("releases"),
    work_dir: Path = Path("runs"),
    margin_db: Decibels = MARGIN_DB,
    force: bool = False,
    github: bool = False,
) -> list[str]:
    """Publish the models of finished runs in one release: all, or none if the gate or what is there refuses one.

    Args:
        runs: Folders, names or MLflow run ids.
        version: Semantic version.
        models: Names of the models, one for each run; by default the runs'.
        releases: Folder of all releases.
        work_dir: Folder of the runs.
        margin_db: By how much a stem's median SDR may be below the champion's, in dB.
        force: Publish against the gate.
        github: Upload the version's folder to GitHub, too.

    Returns:
        The tarballs, and the address of the release on GitHub.
    """
    folders = [resolve_run(run, work_dir) for run in runs]
    names: list[str | None] = [*models] if models else [None] * len(folders)
    judged = [
        judge(folder, version, releases, name, margin_db, force) for folder, name in zip(folders, names, strict=True)
    ]
    published = publish_models(judged, version, releases, github)
    page = None
    if github:
        with upload_bar() as report:
            page = upload_to_github(releases / version, published, report)
    for folder, one in zip(folders, published, strict=True):
        announce(folder, one, page)
    return [*(str(one.tarball) for one in published), *([page] if page else [])]


def _main(arguments: argparse.Namespace) -> None:
    places = publish(
        arguments.runs,
        arguments.version,
        models=arguments.models,
        releases=arguments.releases,
        work_dir=arguments.work_dir,
        margin_db=arguments.margin,
        force=arguments.force,
        github=arguments.github,
    )
    say(f"release: {place}" for place in places)


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
