"""The rounds of a watched folder as runs of a Prefect deployment: one after the other, whatever becomes of its API."""

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
    is_lost: Callable[[BaseException], bool],
    look_every_s: float = _LOOK_EVERY_S,
    longest_pause_s: float = _LONGEST_PAUSE_S,
) -> None:
    """Start a round, wait for its end, pause, start the next, until ``stop``; an error is a line and a longer pause.

    Args:
        start: Starts a round; returns the run's ID.
        has_ended: Whether a run has.
        stop: Set when no more rounds are to start.
        every_s: Pause between rounds.
        is_lost: Whether an error says that there is no such run any more, so that nothing is to be waited for.
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
        # Whatever comes: a thread that ended would leave a command that serves on and starts no round.
        except BaseException as error:
            if is_lost(error):
                run = None
            pauses.after(error)


def keep_serving(
    serve: Callable[[], None], *, first_pause_s: float = _LOOK_EVERY_S, longest_pause_s: float = _LONGEST_PAUSE_S
) -> None:
    """Serve until Ctrl-C, also after an outage of the API, of which half a minute ends Prefect's runner.

    Args:
        serve: Returns when it is interrupted.
        first_pause_s: Before it is called again after an error; doubled from one error to the next.
        longest_pause_s: At most so long.
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
        """It went well."""
        self._next_s = self._first_s

    def after(self, error: BaseException) -> None:
        """Say what is wrong, and wait; at once over where all is to end."""
        if self._stop.is_set():
            return
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        sys.stderr.write(f"Prefect's API failed ({printable(reason)}); trying again in {self._next_s:.0f} s\n")
        self._stop.wait(self._next_s)
        self._next_s = min(2 * self._next_s, self._longest_s)
