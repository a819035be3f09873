"""What an error of the system means for the user: the reason in the system's words, and what mends it."""

import errno
import os

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How the system says that a disk takes no more."""

NOT_PERMITTED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""How it says that something may not be written, or read, whatever room there is."""

_TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})


def reason_of(error: OSError) -> str:
    """What went wrong, such as ``No space left on device``."""
    return error.strerror or str(error)


def cure_of(error: OSError, *, reading: bool = False) -> str:
    """What mends it, to be followed by what else the user may do, such as ``make room``."""
    if error.errno in DISK_FULL:
        return "make room"
    if error.errno in NOT_PERMITTED:
        return "make it readable" if reading else "make it writable"
    if error.errno in _TOO_MANY_FILES:
        return "raise the limit of open files (ulimit -n)"
    return "mend that"


def named_in(text: str) -> OSError | None:
    """The error that a text names: ffmpeg, TensorFlow and MLflow have no numbers of the system's, but its words."""
    for number in sorted(DISK_FULL | NOT_PERMITTED | _TOO_MANY_FILES):
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None


def system_error(error: BaseException) -> OSError | None:
    """The system's error that an error is, or comes of, or names; None of any other."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return cause
        cause = cause.__cause__
    return named_in(str(error))
