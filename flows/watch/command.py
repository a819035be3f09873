"""A watched folder: its rounds in this process, or as runs of a Prefect deployment."""

import hashlib
import os
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from uuid import UUID

from flows.separate_batch.batch import Batch, conclude, look_for_done, plan, try_new
from flows.separate_batch.locally import separate_locally
from flows.support.prefect_api import configured_prefect_api
from flows.support.terminal import say
from flows.watch.options import SETTLED_S, Options
from sepcore.batch.plan import prepare_output
from sepcore.batch.records import forget_failed_tries
from sepcore.batch.song import Outcome, Song
from sepcore.errors import StemworksError
from sepcore.system.printable import printable
from sepcore.system.urls import shown

_LONGEST_PAUSE_S = 60.0
_LOOK_EVERY_S = 1.0


def main(options: Options) -> None:
    """Look for new songs until Ctrl-C: with a Prefect API in runs of a deployment, without one in this process."""
    batch = _planned(options)  # mistakes in the command are reported now, not in the first round
    prepare_output(batch.songs, batch.out)
    forget_failed_tries(batch.out)
    if configured_prefect_api():
        _serve(options)
    else:
        _watch(options)


def _planned(options: Options) -> Batch:
    return plan(options, [options.folder], settled_s=SETTLED_S)


def _watch(options: Options) -> None:
    """Rounds in this process, with the network loaded once."""
    say([f"watching {options.folder} every {options.every:g} s, stems go to {options.out}; Ctrl-C ends it"])
    told: set[str] = set()
    while True:
        try:
            lines = [_line(outcome) for outcome in _round(_planned(options))]
            say(line for line in lines if line not in told)
        except (StemworksError, OSError) as error:
            # A full disk, two songs that would write one file, a model that is being replaced: the next round may work.
            lines = [printable(error)]
            if lines[0] not in told:
                sys.stderr.write(f"{shown(lines[0])}\n")
        told = set(lines)
        time.sleep(options.every)


def _round(batch: Batch) -> Iterator[Outcome]:
    """Separate new songs; one that failed is tried again when it has changed."""
    skipped = look_for_done(batch, by_time=True)

    def separate(songs: Sequence[Song]) -> dict[Path, Outcome]:
        prepare_output(songs, batch.out)
        return separate_locally(replace(batch, songs=list(songs)), songs)

    new, before = try_new(batch, [song for song in batch.songs if song.path not in skipped], separate)
    if new:
        conclude(batch, skipped | before | new)
    yield from new.values()


def _line(outcome: Outcome) -> str:
    if outcome.status == "failed":
        return outcome.reason
    if outcome.status == "skipped":
        return f"{outcome.song}: separated by another process"
    return f"{outcome.song}: {outcome.audio_s:.0f} s separated in {outcome.elapsed_s:.1f} s"


def _deployment_name(folder: Path, out: Path) -> str:
    """The name of a watched folder's deployment: the same for the same two folders, different for any others."""
    folder, out = folder.resolve(), out.resolve()
    places = hashlib.sha256(b"\0".join(map(os.fsencode, (folder, out)))).hexdigest()[:8]
    # Prefect allows no slash, and only text.
    name = re.sub(r"[^\w.-]+", "-", folder.name) or "root"
    return f"watch-{name}-{places}"


def _serve(options: Options) -> None:
    """Rounds as runs of a Prefect deployment, which this process starts and works on, one at a time."""
    from prefect import serve
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.objects import FlowRun
    from prefect.deployments import run_deployment
    from prefect.deployments.runner import RunnerDeployment
    from prefect.exceptions import ObjectNotFound

    from flows.separate_batch.flow import separate_batch

    deployment = separate_batch.to_deployment(
        _deployment_name(options.folder, options.out), parameters=options.of_a_round().sent() | {"settled_s": SETTLED_S}
    )
    assert isinstance(deployment, RunnerDeployment)  # a coroutine only inside an event loop; so is a run's
    name = f"separate-batch/{deployment.name}"
    deployment.apply()

    # Not by a schedule: rounds that are due while one runs would pile up, or fill Prefect's page as canceled.
    def start() -> UUID:
        started = run_deployment(name, timeout=0)
        assert isinstance(started, FlowRun)
        return started.id

    def has_ended(run: UUID) -> bool:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
        return state is not None and state.is_final()

    stop = Event()
    rounds = partial(keep_rounds_going, start, has_ended, stop, every_s=options.every, lost=ObjectNotFound)
    Thread(target=rounds, daemon=True).start()
    say([f"serving {name} every {options.every:g} s, stems go to {options.out}; Ctrl-C ends it"])

    def serve_quietly() -> None:
        # Prefect prints tracebacks when an outage ends its runner.
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            # Not paused at the end: there are no schedules, and pausing would wait for an API that may be away.
            serve(deployment, limit=1, pause_on_shutdown=False, print_starting_message=False)

    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    try:
        keep_serving(serve_quietly)
    finally:
        stop.set()
    raise KeyboardInterrupt  # Prefect ends quietly by it


def keep_rounds_going(
    start: Callable[[], UUID],
    has_ended: Callable[[UUID], bool],
    stop: Event,
    *,
    every_s: float,
    lost: type[BaseException],
    look_every_s: float = _LOOK_EVERY_S,
    longest_pause_s: float = _LONGEST_PAUSE_S,
) -> None:
    """Start a round, wait for its end, pause, start the next, until ``stop``; after an error print a line and wait.

    Args:
        start: Starts a round; returns the run's ID.
        has_ended: Whether a run has ended.
        stop: Set when no more rounds shall start.
        every_s: Pause between rounds.
        lost: The error of a run that no longer exists, and is not waited for.
        look_every_s: Pause between looks at a run.
        longest_pause_s: After an error; the first is ``every_s``, or this if that is shorter.
    """
    run: UUID | None = None
    pauses = _Pauses(every_s, longest_pause_s, stop)
    while not stop.is_set():
        try:
            if run is None:
                run = start()
            elif has_ended(run):
                run = None
            pauses.reset()
            stop.wait(look_every_s if run else every_s)
        # Any error: if this thread ended, the command would serve on without starting a round.
        except BaseException as error:
            if isinstance(error, lost):
                run = None
            pauses.after(error)


def keep_serving(
    serve: Callable[[], None], *, first_pause_s: float = _LOOK_EVERY_S, longest_pause_s: float = _LONGEST_PAUSE_S
) -> None:
    """Serve until Ctrl-C; half a minute without the API ends Prefect's runner, which is then started again.

    Args:
        serve: Returns when it is interrupted.
        first_pause_s: Before it is called again after an error; doubled from one error to the next.
        longest_pause_s: The limit of that.
    """
    pauses = _Pauses(first_pause_s, longest_pause_s, Event())
    while True:
        try:
            serve()
            return
        except Exception as error:
            pauses.after(error)


class _Pauses:
    """After each error a line and a pause, twice as long as the last one."""

    def __init__(self, first_s: float, longest_s: float, stop: Event) -> None:
        self._first_s, self._longest_s, self._stop = min(first_s, longest_s), longest_s, stop
        self._next_s = self._first_s

    def reset(self) -> None:
        """Note that it went well."""
        self._next_s = self._first_s

    def after(self, error: BaseException) -> None:
        """Say what is wrong, and wait until it is time to try again or to stop."""
        if self._stop.is_set():
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        sys.stderr.write(f"Prefect's API failed ({printable(reason)}); trying again in {self._next_s:.0f} s\n")
        self._stop.wait(self._next_s)
        self._next_s = min(2 * self._next_s, self._longest_s)
