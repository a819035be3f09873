"""What all command lines share: quiet start-up, one line for a mistake, the exit codes, interruption."""

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

from flows.support.extras import missing_extra
from flows.support.native_log import filter_native_log
from flows.support.prefect_api import causes, end_at_once, is_of_prefect_api, raise_without_api
from sepcore.errors import StemworksError
from sepcore.system.printable import printable
from sepcore.system.urls import shown
from tasks import one_line_errors

_INTERRUPTED = 130
_INTERRUPTED_LINE = (
    "Interrupted. Completed work was kept, and nothing is half-written. Run the same command again to resume."
)
_LIKE_CTRL_C = signal.SIGTERM, signal.SIGHUP
_AGAIN_S = 0.05
_again: threading.Timer | None = None


class _OneLine(logging.Formatter):
    """Keeps a message in one line, whatever characters the names in it have."""

    def format(self, record: logging.LogRecord) -> str:
        args = one_line_errors.printable_names(record.args)
        return super().format(logging.makeLogRecord(vars(record) | {"args": args}))


def set_up_process(verbose: bool) -> None:
    """Set up logging, and silence libraries that have not been imported yet; the user's own settings stay."""
    if not verbose:
        filter_native_log()
    one_line_errors.install()
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level="INFO" if verbose else "WARNING", handlers=[handler])
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name may be no UTF-8, or in no character set of the terminal's; stderr escapes such letters anyway.
        sys.stdout.reconfigure(errors="backslashreplace")
    if not verbose:
        # Prefect's services have loggers of their own; nobody needs to know what they still send at a command's end.
        for service in ("EventsWorker", "APILogWorker"):
            logging.getLogger(service).setLevel("ERROR")
    quiet = {
        # Failures reach the user as our one line; Prefect would print a traceback of each task and flow before it.
        "PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL",
        # What its background threads cannot send while its API is away.
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR" if verbose else "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "MLFLOW_LOGGING_LEVEL": "INFO" if verbose else "WARNING",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    for key, value in quiet.items():
        os.environ.setdefault(key, value)
    sys.excepthook = _excepthook
    _interrupt_like_ctrl_c()


def guarded(work: Callable[[], int | None]) -> int:
    """Do a piece of work; turn what can go wrong into one line on stderr and an exit code."""
    try:
        return work() or 0
    except StemworksError as error:
        return _say(str(error), error.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        # An interruption of a compiled package's import is an ImportError; what is then written to a terminal that has
        # been closed is an OSError.
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes(error)):
            return _say(_INTERRUPTED_LINE, _INTERRUPTED)
        if (missing := missing_extra(error)) is not None:
            return _say(str(missing), missing.exit_code)
        if not isinstance(error, OSError):
            raise
        # A full disk, a folder without rights: the message says what it is about.
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", 2)


def run_command(work: Callable[[], int | None], *, at_once: bool = False) -> NoReturn:
    """`guarded` work, and the end of the process; ``at_once`` without freeing a network's memory bit by bit."""
    try:
        code = guarded(work)
    except Exception as error:
        if not is_of_prefect_api(error):
            raise
        end_at_once(guarded(partial(raise_without_api, error)))
    if _again is not None:
        _again.cancel()  # nothing is left to interrupt
    if code == _INTERRUPTED:
        _drop_output_to_closed_terminal()
    if at_once and "prefect" not in sys.modules:  # which has events to send
        end_at_once(code)
    sys.exit(code)


def _excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An interruption while a command is still importing ends in one line too."""
    if issubclass(kind, KeyboardInterrupt):
        _say(_INTERRUPTED_LINE, _INTERRUPTED)
    else:
        sys.stderr.write(shown("".join(format_exception(kind, error, traceback))))


def _drop_output_to_closed_terminal() -> None:
    """Python would try to write it again at the end, and exit with another code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _say(text: str, code: int) -> int:
    lines = map(printable, shown(text).split("\n"))  # a server's answer may contain control sequences of a terminal
    with suppress(OSError):  # a terminal that has been closed
        sys.stderr.write("".join(f"{line}\n" for line in lines))
    return code


def _interrupt_like_ctrl_c() -> None:
    """Let SIGTERM and a closed terminal do what Ctrl-C does, and let no finalizer swallow either.

    The default action would end the process at once, and leave temporary folders and half-written files. A signal that
    is ignored stays so: ``nohup`` lets a command outlive its terminal.
    """
    for number in _LIKE_CTRL_C:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _like_ctrl_c)
    sys.unraisablehook = _unraisablehook


def _like_ctrl_c(number: int, frame: FrameType | None) -> None:
    # Once: kernel and shell both report a closed terminal, and the clean-up after the first must not be interrupted.
    for other in _LIKE_CTRL_C:
        if signal.getsignal(other) is _like_ctrl_c:
            # Not SIG_IGN, which processes started from here would inherit.
            signal.signal(other, lambda number, frame: None)
    ctrl_c = signal.getsignal(signal.SIGINT)
    if callable(ctrl_c):
        ctrl_c(signal.SIGINT, frame)  # asyncio's, for example, cancels what runs
    else:  # ignored, as in what a script's shell starts in the background
        raise KeyboardInterrupt


def _unraisablehook(unraisable: "sys.UnraisableHookArgs") -> None:
    """Repeat an interruption that a finalizer, or a callback of the garbage collector, swallowed."""
    global _again
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
        return
    number = signal.SIGINT
    if not callable(signal.getsignal(number)):
        number = signal.SIGTERM
        signal.signal(number, _like_ctrl_c)
    # Later: raised now, the same finalizer would swallow it.
    _again = threading.Timer(_AGAIN_S, signal.pthread_kill, (threading.main_thread().ident, number))
    _again.daemon = True
    _again.start()
