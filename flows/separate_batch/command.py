"""The folder command: with a Prefect API as a flow, without one in this process and without Prefect."""

import time

from flows.separate_batch.batch import conclude, look_for_done, plan
from flows.separate_batch.locally import separate_locally
from flows.separate_batch.options import STARTED_S, Options
from flows.separate_batch.table import print_dry_run, print_outcomes
from flows.support.prefect_api import configured_prefect_api
from sepcore.batch.estimate import dry_run, expected_rate
from sepcore.batch.plan import prepare_output
from sepcore.batch.song import Outcome


def main(options: Options) -> int:
    """Separate what is not done; 1 if songs failed."""
    options.check_scheduler()
    if options.dry_run:
        return _print_estimate(options)
    by_prefect = configured_prefect_api() or options.runner == "dask"
    outcomes = _separate_as_flow(options) if by_prefect else _separate_without_prefect(options)
    print_outcomes(outcomes, options.out, time.monotonic() - STARTED_S)
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


def _separate_without_prefect(options: Options) -> list[Outcome]:
    batch = plan(options, options.paths)
    prepare_output(batch.songs, batch.out)
    skipped = {} if options.overwrite else look_for_done(batch)
    pending = [song for song in batch.songs if song.path not in skipped]
    new = separate_locally(batch, pending, workers=options.workers or 1, overwrite=options.overwrite)
    return conclude(batch, skipped | new)


def _separate_as_flow(options: Options) -> list[Outcome]:
    from flows.support.prefect_server import start_prefect, with_prefect

    start_prefect()  # with Dask and no API
    from flows.separate_batch.flow import SomeFailed, separate_batch

    on_runner = separate_batch.with_options(task_runner=options.task_runner(1))
    try:
        return with_prefect(lambda: on_runner(**options.sent()))
    except SomeFailed as error:
        return error.outcomes


def _print_estimate(options: Options) -> int:
    from sepcore.batch.summary import earlier_rate

    batch = plan(options, options.paths)
    found = dry_run(batch.songs, {} if options.overwrite else look_for_done(batch, dry_run=True), batch.options)
    measured = earlier_rate(batch.out)
    rate = measured or expected_rate(len(batch.separator.instruments))
    print_dry_run(found, batch.out, rate=rate, is_measured=measured is not None)
    return 1 if found.unreadable else 0
