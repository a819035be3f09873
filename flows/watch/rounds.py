"""The rounds of a watched folder as runs of a Prefect deployment: one after the other, through outages of its API."""

import sys
from collections.abc import Callable
from threading import Event
from uuid import UUID

from sepcore.system.printable import printable

_LONGEST_PAUSE_S = 60.0
_LOOK_EVERY_S = 1.0


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
    """Start a round, wait for its end, pause, start the next, until ``stop``; an error is a line and a longer pause.

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
    """A line and a pause after each error, twice as long as the last."""

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
