"""Log records without secrets, and without a traceback where one line will do."""

import logging
import traceback
from pathlib import PurePath
from typing import Any

from sepcore.errors import StemworksError
from sepcore.system.printable import printable
from sepcore.system.urls import shown


def install() -> None:
    """Hide secrets and needless tracebacks in every record of this process; a second call changes nothing.

    Addresses lose their passwords, in Prefect's logs and on its page too. A `StemworksError`, whose text is a line for
    the user, has no traceback unless Prefect's level is DEBUG.
    """
    make = logging.getLogRecordFactory()
    if make.__module__ == __name__:
        return

    def record(*given: Any, **named: Any) -> logging.LogRecord:
        made = make(*given, **named)
        error = made.exc_info[1] if isinstance(made.exc_info, tuple) else None
        if isinstance(error, StemworksError) and not logging.getLogger("prefect").isEnabledFor(logging.DEBUG):
            made.exc_info = None
        _hide_secrets(made)
        return made

    logging.setLogRecordFactory(record)
    logging.getLogger("asyncio").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """False for what Prefect's observers of runs log when its API goes away, which another line reports."""
    said = record.getMessage()
    return "FlowRunSuspendingObserver." not in said and "FlowRunCancellingObserver." not in said


def printable_names(args: Any) -> Any:
    """The arguments of a message, with names made printable, so that it stays one line."""
    if not isinstance(args, tuple):
        return args
    return tuple(printable(one) if isinstance(one, (str, PurePath, BaseException)) else one for one in args)


def _hide_secrets(record: logging.LogRecord) -> None:
    try:
        said = record.getMessage()
    except Exception:  # arguments that do not fit: the handler reports it
        return
    if shown(said) != said:
        # Names are made printable here, since no handler sees them any more.
        whole = logging.makeLogRecord(vars(record) | {"args": printable_names(record.args)})
        record.msg, record.args = shown(whole.getMessage()), ()
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        # Where a formatter looks first.
        record.exc_text = shown("".join(traceback.format_exception(*record.exc_info))).rstrip("\n")
