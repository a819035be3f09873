"""What an error of the system means for the user: the reason in the system's words, and what fixes it."""

import errno
import os

from sepcore.errors import StemworksError

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How the system says that a disk takes no more, or no more of this file."""

EVERY_WRITE_REFUSED = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""How it says that a disk takes no file at all: the next one will not fit either, as after `errno.EFBIG` it may."""

NOT_PERMITTED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""How it says that something may not be written, or read, whatever room there is."""

TOO_MANY_FILES = frozenset({errno.EMFILE, errno.ENFILE})
"""How it says that no more files can be open at once."""


def reason_of(error: OSError) -> str:
    """What went wrong, such as ``No space left on device``."""
    return error.strerror or str(error)


def errno_of(error: BaseException) -> int | None:
    """The system's number of an error of the system, of one of ours that names it, or of one with such a cause."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (OSError, StemworksError)) and cause.errno is not None:
            return cause.errno
        cause = cause.__cause__
    return None


def fix_for(error: BaseException, *, reading: bool = False) -> str:
    """The start of a hint, to be followed by what else the user may do: ``Free some space``."""
    number = errno_of(error)
    if number in DISK_FULL:
        return "Free some space"
    if number in NOT_PERMITTED:
        return "Make it readable" if reading else "Make it writable"
    if number in TOO_MANY_FILES:
        return "Raise the limit of open files (ulimit -n)"
    return "Fix that"


def named_in(text: str) -> OSError | None:
    """The error that another program's text names: ffmpeg and TensorFlow pass on the system's words, not its numbers.

    To be called where such a text enters; from there on the error's number is what counts.
    """
    for number in sorted(DISK_FULL | NOT_PERMITTED | TOO_MANY_FILES):
        if os.strerror(number) in text:
            return OSError(number, os.strerror(number))
    return None
