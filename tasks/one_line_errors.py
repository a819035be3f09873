"""Errors whose text is a line for the user go into Prefect's logs, and its page, without a traceback."""

import logging
from typing import Any

from sepcore.errors import StemworksError


def install() -> None:
    """Make every record of the logging module so, once in a process; with Prefect's level DEBUG all is shown."""
    make = logging.getLogRecordFactory()
    if make.__module__ == __name__:
        return

    def record(*given: Any, **named: Any) -> logging.LogRecord:
        made = make(*given, **named)
        error = made.exc_info[1] if isinstance(made.exc_info, tuple) else None
        if isinstance(error, StemworksError) and not logging.getLogger("prefect").isEnabledFor(logging.DEBUG):
            made.exc_info = None
        return made

    logging.setLogRecordFactory(record)
