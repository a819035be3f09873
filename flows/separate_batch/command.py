"""The folder command: with a Prefect API as a flow, without one in this process and without Prefect."""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from flows.separate_batch.batch import conclude, look_for_done, plan
from flows.separate_batch.locally import separate_locally
from flows.separate_batch.options import STARTED_S, Options
from flows.support.prefect_api import configured_prefect_api
from flows.support.terminal import say
from sepcore.batch.estimate import DryRun, dry_run, expected_rate
from sepcore.batch.plan import prepare_output
from sepcore.batch.song import Outcome, Totals
from sepcore.system.printable import printable


def main(options: Options) -> int:
    """Separate songs that are not done; 1 if songs failed."""
    options.check_scheduler()
    if options.dry_run:
        return _print_estimate(options)
    by_prefect = configured_prefect_api() or options.runner == "dask"
    outcomes = _separate_as_flow(options) if by_prefect else _separate_without_prefect(options)
    _print_outcomes(outcomes, options.out, time.monotonic() - STARTED_S)
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
    _print_dry_run(found, batch.out, rate=rate, is_measured=measured is not None)
    return 1 if found.unreadable else 0


def _print_outcomes(outcomes: Sequence[Outcome], out: Path, elapsed_s: float) -> None:
    """Songs that failed with their reasons, and the batch in figures."""
    totals = Totals.of(outcomes)
    if totals.failed:
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        _print_reasons(f"{totals.failed} of {len(outcomes)} failed", "why it failed", failed)
    lines = [
        f"{_songs(len(outcomes))} in {_shown(out)}: {totals.done} done, {totals.skipped} skipped, "
        f"{totals.failed} failed"
    ]
    if totals.done:
        lines.append(
            f"{_hours(totals.audio_s)} of audio separated in {elapsed_s:.1f} s: "
            f"{totals.audio_s / elapsed_s:.1f} times real time with start-up, "
            f"{totals.audio_s / totals.busy_s:.1f} without; peak memory {_peak_memory_mb():.0f} MB"
        )
    say(lines)


def _print_dry_run(dry_run: DryRun, out: Path, *, rate: float, is_measured: bool) -> None:
    """What would be done with the songs, where the stems would go, and how long it would take.

    Args:
        dry_run: The songs.
        out: The output folder.
        rate: Seconds of audio separated in one second.
        is_measured: Whether earlier runs had that rate.
    """
    if dry_run.unreadable:
        title = f"{len(dry_run.unreadable)} of {dry_run.num_songs} cannot be read"
        _print_reasons(title, "why it would fail", dry_run.unreadable)
    num_songs = len(dry_run.to_separate)
    if num_songs:
        table = Table("song", "length", "stems in", title=f"{num_songs} would be separated")
        for song, (seconds, folder) in dry_run.to_separate.items():
            table.add_row(_shown(song), "unknown" if seconds is None else _minutes(seconds), _shown(folder))
        _print(table)
    lines = [
        f"{_songs(dry_run.num_songs)}, nothing written to {_shown(out)}: {num_songs} to separate, "
        f"{len(dry_run.done)} done already, {len(dry_run.unreadable)} cannot be read"
    ]
    if num_songs:
        where = "as in the last run here" if is_measured else "an estimate for this machine"
        lines.append(
            f"{_hours(dry_run.audio_s)} of audio to separate, about {_minutes(dry_run.audio_s / rate)} min at "
            f"{rate:.0f} times real time ({where})"
        )
    say(lines)


def _print_reasons(title: str, column: str, failed: Iterable[Outcome]) -> None:
    table = Table("song", column, title=title)
    for outcome in failed:
        table.add_row(_shown(outcome.song), outcome.why)
    _print(table)


def _print(table: Table) -> None:
    # Names and reasons as they are: brackets are no markup, colons no emoji.
    Console(markup=False, emoji=False, highlight=False).print(table)


def _songs(number: int) -> str:
    return f"{number} {'song' if number == 1 else 'songs'}"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2f} h" if seconds >= 360 else f"{seconds:.0f} s"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def _shown(path: Path) -> str:
    here = Path.cwd()
    return printable(path.relative_to(here) if path.is_relative_to(here) else path)


def _peak_memory_mb() -> float:
    """The most memory that this process has had at once."""
    if sys.platform == "win32":
        return float(psutil.Process().memory_info().peak_wset / 1e6)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
