"""What all command lines share: quiet start-up, one line for a mistake, the exit codes."""

import io
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from traceback import format_exception
from types import TracebackType
from typing import NoReturn

from flows.support.interruption import INTERRUPTED, interrupt_like_ctrl_c, is_interruption, settle_interruption
from flows.support.native_log import filter_native_log
from flows.support.prefect_gone import end_at_once, is_of_prefect_api, raise_without_api
from sepcore.errors import StemworksError
from sepcore.system.printable import printable
from sepcore.system.urls import shown
from tasks import one_line_errors
from tasks.one_line_errors import printable_names

_INTERRUPTED_LINE = "Interrupted. Completed work was kept, and nothing is half-written."


class _OneLine(logging.Formatter):
    """Names in a message, of songs say, stay in its line whatever characters they have."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(logging.makeLogRecord(vars(record) | {"args": printable_names(record.args)}))


def set_up_process(verbose: bool) -> None:
    """Logging, and silence of the libraries that have not been imported yet; what the user has set stays."""
    if not verbose:
        filter_native_log()
    level = "INFO" if verbose else "WARNING"
    one_line_errors.install()
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name may be no UTF-8, or in no character set of the terminal's; stderr escapes such letters anyway.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not verbose:
        # Of Prefect's services, which have loggers of their own: what they still send when a command ends is no news.
        for service in ("EventsWorker", "APILogWorker"):
            logging.getLogger(service).setLevel("ERROR")
    quiet = {
        # Failures reach the user as our one line; Prefect would print a traceback of each task and flow before it.
        "PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL",
        # And what its background threads cannot send while its API is away.
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR" if verbose else "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_LOGGING_LEVEL": "INFO" if verbose else "WARNING",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    for key, value in quiet.items():
        os.environ.setdefault(key, value)
    sys.excepthook = _excepthook
    interrupt_like_ctrl_c()


def guarded(work: Callable[[], int | None]) -> int:
    """Do a piece of work; turn what can go wrong into one line on stderr and an exit code."""
    try:
        return work() or 0
    except StemworksError as error:
        return _say(str(error), error.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        if is_interruption(error):
            return _say(_INTERRUPTED_LINE, INTERRUPTED)
        if not isinstance(error, OSError):
            raise
        # A full disk, a folder without rights: what it was about is in the message.
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", 2)


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An interruption while a command is still importing ends in one line too."""
    if issubclass(kind, KeyboardInterrupt):
        _say(_INTERRUPTED_LINE, INTERRUPTED)
    else:
        sys.stderr.write(shown("".join(format_exception(kind, error, traceback))))


def run_command(work: Callable[[], int | None]) -> NoReturn:
    """`guarded` work, and the end of the process."""
    try:
        code = guarded(work)
    except Exception as error:
        if not is_of_prefect_api(error):
            raise
        end_at_once(guarded(partial(raise_without_api, error)))
    settle_interruption()
    if code == INTERRUPTED:
        _let_go_of_a_closed_terminal()
    sys.exit(code)


def _let_go_of_a_closed_terminal() -> None:
    """What waits to be written to one goes nowhere: Python would try again, and end with another exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _say(line: str, code: int) -> int:
    lines = map(printable, shown(line).split("\n"))  # what a server answers may have a terminal's commands in it
    with suppress(OSError):  # a terminal that has been closed
        sys.stderr.write("".join(f"{one}\n" for one in lines))
    return code
