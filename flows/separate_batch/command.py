"""The folder command: with a Prefect API as a flow, without one in this process and without Prefect."""

import time
from collections.abc import Sequence

from flows.separate_batch.batch import Batch, conclude, look_for_done, plan
from flows.separate_batch.locally import separate_locally
from flows.separate_batch.options import Options
from flows.separate_batch.table import print_dry_run, print_outcomes
from flows.support.prefect_api import prefect_api_configured
from flows.support.runners import check_scheduler
from sepcore.batch.estimate import dry_run, expected_rate
from sepcore.batch.plan import prepare_output
from sepcore.batch.song import Outcome


def main(options: Options) -> int:
    """Separate what is not done; 1 if songs failed."""
    check_scheduler(options.scheduler)
    if options.dry_run:
        return _say_what_it_takes(_planned(options), overwrite=options.overwrite)
    by_prefect = prefect_api_configured() or options.runner == "dask"
    outcomes = _separate_as_flow(options) if by_prefect else _separate_here(options)
    print_outcomes(outcomes, options.out, time.monotonic() - options.started_s)
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def _planned(options: Options) -> Batch:
    return plan(
        options.paths, options.out, options.settings(), options.stem_files(), filename_format=options.filename_format
    )


def _separate_here(options: Options) -> Sequence[Outcome]:
    batch = _planned(options)
    prepare_output(batch.songs, batch.out)
    skipped = {} if options.overwrite else look_for_done(batch)
    pending = [song for song in batch.songs if song.path not in skipped]
    new = separate_locally(batch, pending, workers=options.workers or 1, overwrite=options.overwrite)
    return conclude(batch, skipped | new)


def _separate_as_flow(options: Options) -> Sequence[Outcome]:
    from flows.support.prefect_server import start_prefect, with_prefect

    start_prefect()  # with Dask and no API
    from flows.separate_batch.flow import SomeFailed, separate_batch

    on_runner = separate_batch.with_options(task_runner=options.task_runner(1))
    try:
        return with_prefect(lambda: on_runner(**options.sent()))
    except SomeFailed as error:
        return error.outcomes


def _say_what_it_takes(batch: Batch, *, overwrite: bool) -> int:
    from sepcore.batch.summary import earlier_rate

    found = dry_run(batch.songs, {} if overwrite else look_for_done(batch, dry_run=True), batch.options)
    measured = earlier_rate(batch.out)
    guess = expected_rate(len(batch.separator.instruments))
    print_dry_run(found, batch.out, rate=measured or guess, is_measured=measured is not None)
    return 1 if found.unreadable else 0
