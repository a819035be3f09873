"""System errors for users: the reason, and what fixes it."""

import errno
import os

from sepcore.errors import StemworksError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk takes no more, or no more of this file."""
EVERY_WRITE_REFUSED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""The disk takes no file at all; after `errno.EFBIG` the next file may still fit."""
NOT_PERMITTED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""Something may not be written or read."""
TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})
"""No more files can be opened."""


def reason_of(error: OSError) -> str:
    """What went wrong, such as ``No space left on device``."""
    return error.strerror or str(error)


def errno_of(error: BaseException) -> int | None:
    """The ``errno`` of an OSError, of one of our errors, or of the first cause that has one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (OSError, StemworksError)) and cause.errno is not None:
            return cause.errno
        cause = cause.__cause__
    return None


def fix_for(error: BaseException, *, reading: bool = False) -> str:
    """The start of a hint, such as ``Free some space``."""
    number = errno_of(error)
    if number in DISK_FULL:
        return "Free some space"
    if number in NOT_PERMITTED:
        return "Make it readable" if reading else "Make it writable"
    if number in TOO_MANY_FILES:
        return "Raise the limit of open files (ulimit -n)"
    return "Fix that"


def named_in(text: str) -> OSError | None:
    """The system error that another program's text names: ffmpeg and TensorFlow pass on its words, not its number.

    Called where such a text enters; afterwards only the number counts.
    """
    for number in sorted(DISK_FULL | NOT_PERMITTED | TOO_MANY_FILES):
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None
