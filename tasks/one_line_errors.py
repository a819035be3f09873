"""What every record of the logging module goes through: no secret is told, and no traceback where a line will do."""

import logging
import traceback
from typing import Any

from sepcore.errors import StemworksError
from sepcore.urls import shown


def install() -> None:
    """Make every record of the logging module so, once in a process.

    Its addresses are without passwords, in Prefect's logs and on its page, too. Errors whose text is a line for the
    user have no traceback, unless Prefect's level is DEBUG.
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


def _hide_secrets(record: logging.LogRecord) -> None:
    try:
        said = record.getMessage()
    except Exception:  # arguments that do not fit: the handler says so
        return
    if (clean := shown(said)) != said:
        record.msg, record.args = clean, ()
    if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None:
        # Where a formatter looks first.
        record.exc_text = shown("".join(traceback.format_exception(*record.exc_info))).rstrip("\n")
