"""Prefect's API that went away while a command worked: how that shows, and the end of what waits to be sent to it."""

import queue
import sys
from contextlib import suppress


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
