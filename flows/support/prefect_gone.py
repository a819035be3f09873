"""Prefect's API that went away while a command worked: how that shows, and the end of what waits to be sent to it."""

import queue
import sys
from contextlib import suppress

from sepcore.urls import shown

WHO_IS_THERE = 401, 403
"""Answers of a server that wants a credential, or another one."""


def not_let_in(url: str) -> str:
    """The line for a client without the credential."""
    return (
        f"Prefect's API at {shown(url)} wants its credential; give this shell the line "
        "`export PREFECT_API_AUTH_STRING=…` that `python -m flows.serve` printed."
    )


def is_not_let_in(error: BaseException) -> bool:
    """Whether an error says that Prefect's server wants a credential, or another one."""
    from httpx import HTTPStatusError

    return isinstance(error, HTTPStatusError) and error.response.status_code in WHO_IS_THERE


def is_of_prefect_api(error: BaseException) -> bool:
    """Whether an error says that Prefect's API went away or lost the run: no other HTTP error reaches a command."""
    if "prefect" not in sys.modules:
        return False
    from httpx import HTTPError
    from prefect.exceptions import ObjectNotFound

    return isinstance(error, (HTTPError, ObjectNotFound))


def send_no_more() -> None:
    """Let what waits for the API go.

    Prefect sends every event before a process ends, and tries each for ten seconds: three of every song's task, so that
    a command on a large dataset would hang for hours after its last line.
    """
    from prefect.events.worker import EventsWorker

    for service in tuple(EventsWorker._instances.values()):  # of all kinds: they share it
        with suppress(queue.Empty):
            while True:
                service._queue.get_nowait()
                service._queue.task_done()
