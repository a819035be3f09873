"""The credential of the server that `flows.serve` starts: in a file that only its user may read, for all its starts."""

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from sepcore.errors import ConfigError

CREDENTIAL = "stemworks-credential"
"""Name of the file, in Prefect's home."""

_FORM = re.compile(r"[\w-]+:[\w-]{20,}")
_USER = "stemworks"
_MODE = stat.S_IRUSR | stat.S_IWUSR
_LIMIT = 1000


def new_credential() -> str:
    """A random credential, in the form that Prefect knows: user and password."""
    return f"{_USER}:{secrets.token_urlsafe(32)}"


def kept_credential(file: Path) -> str:
    """The credential in a file, which is made where there is none.

    Raises:
        ConfigError: The file cannot be read, is a link, is another user's, may be read by others, or holds no
            credential.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        return read_credential(file)
    # Written under another name first: who finds it finds all of it.
    new = file.with_name(f".{file.name}-{uuid4().hex}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "w") as made:
            made.write(new_credential())
        with suppress(FileExistsError):  # another process was faster
            file.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)
    return read_credential(file)


def read_credential(file: Path) -> str:
    """The credential in a file that is there; ConfigError as above, FileNotFoundError."""
    try:
        # Neither followed if it is a link, nor waited for if it is a pipe.
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "is a link" if error.errno == errno.ELOOP else f"cannot be read ({error.strerror})"
        raise _refused(file, what) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(file, "is not a file")
        if found.st_uid != os.geteuid():
            raise _refused(file, "belongs to another user")
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise _refused(file, f"has the mode {stat.S_IMODE(found.st_mode):03o}, so others may read it")
        text = os.read(descriptor, _LIMIT).decode("utf-8", "replace").strip()
    finally:
        os.close(descriptor)
    if not _FORM.fullmatch(text):
        raise _refused(file, "holds no credential")
    return text


def _refused(file: Path, what: str) -> ConfigError:
    return ConfigError(
        f"the file for the credential of Prefect's server {what}",
        path=file,
        hint=f"Run `chmod 600 {file}`, or remove it to get a new credential.",
    )
