"""A finished run to a versioned release: <releases>/<version>/<model>.tar.gz with its checksum."""

import argparse
from pathlib import Path

from flows.command import (
    add_releases_option,
    add_run_options,
    check_first,
    command_parser,
    release_version,
    run_command,
    set_up_process,
)
from flows.runs import resolve_run
from sepcore.release.finished_run import FinishedRun


def _arguments() -> argparse.Namespace:
    parser = command_parser("publish", __doc__)
    parser.add_argument("run", metavar="RUN", help="a run: its folder, its name, or its MLflow run id")
    parser.add_argument(
        "--version", type=release_version, required=True, metavar="V", help="semantic version, e.g. 1.0.0"
    )
    parser.add_argument("--name", help="name of the model (default: the run's)")
    add_releases_option(parser)
    parser.add_argument("--force", action="store_true", help="publish though the gate refuses; the card will say so")
    add_run_options(parser)
    arguments = parser.parse_args()
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    return arguments


def _check(arguments: argparse.Namespace) -> None:
    FinishedRun.load(resolve_run(arguments.run, arguments.work_dir).path)


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402

from flows.terminal import say  # noqa: E402
from tasks.release import publish_run  # noqa: E402


@flow(name="publish")
def publish(
    run: str,
    version: str,
    name: str | None = None,
    releases: Path = Path("releases"),
    work_dir: Path = Path("runs"),
    force: bool = False,
) -> Path:
    """Publish the model of a finished run, if every stem beats the untouched mixture; returns the tarball."""
    return publish_run(resolve_run(run, work_dir), version, releases, name, force)


def _main(arguments: argparse.Namespace) -> None:
    tarball = publish(
        arguments.run,
        arguments.version,
        name=arguments.name,
        releases=arguments.releases,
        work_dir=arguments.work_dir,
        force=arguments.force,
    )
    say([f"release: {tarball}"])


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
