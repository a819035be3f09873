"""Prefect's API that goes away while a command works: how to recognize it, what to say, and how the process ends."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import NoReturn

from sepcore.errors import ConfigError, StemworksError

UNAUTHORIZED = 401, 403
"""Answers of a server that wants a credential, or another one."""


def missing_credential(url: str) -> ConfigError:
    """The error of a client without the credential."""
    return ConfigError(
        f"Prefect's API at {url} wants its credential",
        hint="Give this shell the line `export PREFECT_API_AUTH_STRING=…` that `python -m flows.serve` printed.",
    )


def is_unauthorized(error: BaseException) -> bool:
    """Whether an error says that Prefect's server wants a credential, or another one."""
    from httpx import HTTPStatusError

    return isinstance(error, HTTPStatusError) and error.response.status_code in UNAUTHORIZED


def is_of_prefect_api(error: BaseException) -> bool:
    """Whether an error says that Prefect's API went away or lost the run: no other HTTP error reaches a command."""
    if "prefect" not in sys.modules:
        return False
    from httpx import HTTPError
    from prefect.exceptions import ObjectNotFound

    # Prefect raises a RuntimeError from the error of a server that it does not reach.
    return any(isinstance(one, (HTTPError, ObjectNotFound)) for one in (error, error.__cause__))


def raise_without_api(error: Exception) -> NoReturn:
    """Raise what ended a command, if only Prefect could not be told of it; otherwise that Prefect's API failed."""
    for cause in causes(error):
        if isinstance(cause, StemworksError | KeyboardInterrupt):
            raise cause
    where = os.environ.get("PREFECT_API_URL", "").rstrip("/")
    if is_unauthorized(error):
        raise missing_credential(where)
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    raise StemworksError(
        f"Prefect's API{where and f' at {where}'} failed ({reason})",
        hint="Start it with `prefect server start`, or remove it from PREFECT_API_URL and Prefect's profile. Completed "
        "work was kept; run the same command again to resume.",
    )


def end_at_once(code: int) -> NoReturn:
    """End the process without what Prefect would still send to an API that is away.

    It sends every event before a process ends and tries each for ten seconds, three events for every song's task: a
    command on a large dataset would hang for hours after its last line.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # a terminal that has been closed
            stream.flush()
    os._exit(code)


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from or while handling, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
