"""Separate folders and files of audio or video into stems."""

import argparse
import time

from flows.separation_options import (
    add_separation_options,
    check_separation_options,
    separator_settings,
    some_path,
    stem_file_options,
)
from flows.support.command import command_parser, run_command, set_up_process
from flows.support.prefect_api import prefect_api_configured
from flows.support.runners import add_runner_options, check_runner, check_scheduler, task_runner

# Before the imports that the user waits for.
_STARTED = time.monotonic()


def _arguments() -> argparse.Namespace:
    description = f"{__doc__} What is done already is left as it is: run the same command again after whatever."
    parser = command_parser("separate_batch", description)
    parser.add_argument("paths", nargs="+", type=some_path, metavar="PATH", help="files, and folders at any depth")
    add_separation_options(parser)
    add_runner_options(parser, workers="1, since a song keeps all cores busy")
    parser.add_argument("--overwrite", action="store_true", help="separate again what is done already")
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would be separated, and how long that would take"
    )
    arguments = parser.parse_args()
    check_separation_options(parser, arguments)
    check_runner(parser, arguments)
    set_up_process(arguments.verbose)
    return arguments


# Parsed before the imports below, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from flows.batch import Batch, conclude, look_for_done, plan  # noqa: E402
from flows.batch_here import separate_here  # noqa: E402
from flows.batch_table import print_dry_run, print_outcomes  # noqa: E402
from sepcore.batch.estimate import dry_run, expected_rate  # noqa: E402
from sepcore.batch.outcome import Outcome  # noqa: E402
from sepcore.batch.plan import prepare_output  # noqa: E402


def __getattr__(name: str) -> Any:
    # The flow lives beside this file: without a Prefect API the command does not wait for Prefect's import.
    if name == "separate_batch":
        from flows.separate_batch_flow import separate_batch

        return separate_batch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _main(arguments: argparse.Namespace) -> int:
    check_scheduler(arguments.scheduler)
    settings, options = separator_settings(arguments), stem_file_options(arguments)
    batch = plan(arguments.paths, arguments.out, settings, options, filename_format=arguments.filename_format)
    if arguments.dry_run:
        return _say_what_it_takes(batch, overwrite=arguments.overwrite)
    prepare_output(batch.songs, batch.out)
    by_prefect = prefect_api_configured() or arguments.runner == "dask"
    outcomes = (_separate_as_flow if by_prefect else _separate_here)(batch, arguments)
    print_outcomes(outcomes, batch.out, time.monotonic() - _STARTED)
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def _separate_here(batch: Batch, arguments: argparse.Namespace) -> Sequence[Outcome]:
    skipped = {} if arguments.overwrite else look_for_done(batch)
    pending = [song for song in batch.songs if song.path not in skipped]
    workers, overwrite = arguments.workers or 1, arguments.overwrite
    return conclude(batch, skipped | separate_here(batch, pending, workers=workers, overwrite=overwrite))


def _separate_as_flow(batch: Batch, arguments: argparse.Namespace) -> Sequence[Outcome]:
    from flows.support.parameters import sendable
    from flows.support.prefect_server import start_prefect, with_prefect

    start_prefect()  # with Dask and no API
    from flows.separate_batch_flow import SomeFailed, flow_parameters, separate_batch

    runner = task_runner(arguments.runner, arguments.scheduler, arguments.workers or 1)
    try:
        return with_prefect(
            lambda: separate_batch.with_options(task_runner=runner)(
                [Path(sendable(path)) for path in arguments.paths],
                Path(sendable(arguments.out)),
                filename_format=arguments.filename_format,
                options=batch.options,
                overwrite=arguments.overwrite,
                **flow_parameters(batch.separator.settings),
            )
        )
    except SomeFailed as error:
        return error.outcomes


def _say_what_it_takes(batch: Batch, *, overwrite: bool) -> int:
    from sepcore.batch.summary import earlier_rate

    found = dry_run(batch.songs, {} if overwrite else look_for_done(batch, dry_run=True), batch.options)
    measured = earlier_rate(batch.out)
    guess = expected_rate(len(batch.separator.instruments))
    print_dry_run(found, batch.out, rate=measured or guess, is_measured=measured is not None)
    return 1 if found.unreadable else 0


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
