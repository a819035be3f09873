"""What all command lines share: quiet start-up, one line for a mistake, the exit codes."""

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from traceback import format_exception
from types import FrameType, TracebackType
from typing import NoReturn

from flows.support.native_log import filter_native_log
from flows.support.prefect_gone import end_at_once, is_of_prefect_api, raise_without_api
from sepcore.errors import StemworksError
from sepcore.system.printable import printable
from sepcore.system.urls import shown
from tasks import one_line_errors
from tasks.one_line_errors import printable_names

_INTERRUPTED_LINE = "Interrupted. Completed work was kept, and nothing is half-written."
INTERRUPTED = 130
"""Exit code of an interrupted command, whatever interrupted it."""

_ALIKE = signal.SIGTERM, signal.SIGHUP
_AGAIN_S = 0.05
_again: threading.Timer | None = None


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


def interrupt_like_ctrl_c() -> None:
    """Let SIGTERM and a closed terminal do what Ctrl-C does, and let no finalizer swallow either.

    The default action would end the process at once, and leave temporary folders and half-written files. What is
    ignored stays so: ``nohup`` has a command outlive its terminal.
    """
    for number in _ALIKE:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _like_ctrl_c)
    sys.unraisablehook = _unraisablehook


def settle_interruption() -> None:
    """At the end of a command: what was to come again has nothing to interrupt any more."""
    if _again is not None:
        _again.cancel()


def is_interruption(error: BaseException) -> bool:
    """Whether an error comes of an interruption.

    One that comes in the import of a compiled package is an ImportError, and what is then written to a terminal that
    has been closed is an OSError.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    # Once: kernel and shell both tell of a closed terminal, and the clean-up after the first must not be interrupted.
    for other in _ALIKE:
        if signal.getsignal(other) is _like_ctrl_c:
            signal.signal(other, _nothing_more)  # not SIG_IGN, which processes started from here would inherit
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c):
        ctrl_c(signal.SIGINT, frame)  # asyncio's, for one, cancels what runs
    else:  # ignored, as by what a script's shell starts in the background
        raise KeyboardInterrupt


def _nothing_more(number: int, frame: FrameType | None) -> None:
    pass


def _unraisablehook(unraisable: "sys.UnraisableHookArgs") -> None:
    """An interruption comes again after a finalizer, or a callback of the garbage collector, that swallowed it."""
    global _again
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    number = signal.SIGINT
    if not callable(signal.getsignal(number)):
        number = signal.SIGTERM
        signal.signal(number, _like_ctrl_c)
    # Later: raised now, it would be swallowed by the same finalizer.
    _again = threading.Timer(_AGAIN_S, signal.pthread_kill, (threading.main_thread().ident, number))
    _again.daemon = True
    _again.start()
