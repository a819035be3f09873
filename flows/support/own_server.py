"""The server of `flows.serve` as its user's shells know it: the file of its credential, and the lock of its port."""

import errno
import fcntl
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

from flows.support.prefect_api import prefect_home, prefect_setting
from sepcore.errors import ConfigError
from sepcore.system.urls import shown

CREDENTIAL = "stemworks-credential"
"""Name of the credential's file, in Prefect's home."""
LOCAL = "127.0.0.1", "localhost"

_FORM = re.compile(r"[\w-]+:[\w-]{20,}")
_LIMIT = 1000


def new_credential() -> str:
    """A random credential in Prefect's form, ``user:password``."""
    return f"stemworks:{secrets.token_urlsafe(32)}"


def kept_credential(file: Path) -> str:
    """The credential in a file, which is made where there is none; ConfigError as of `read_credential`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        return read_credential(file)
    # Written under another name first, so that nobody reads half of it.
    new = file.with_name(f".{file.name}-{uuid4().hex}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
            made.write(new_credential())
        with suppress(FileExistsError):  # another process was faster
            file.hardlink_to(new)
    finally:
        new.unlink(missing_ok=True)
    return read_credential(file)


def read_credential(file: Path) -> str:
    """The credential in a file; FileNotFoundError if there is none.

    Raises:
        ConfigError: The file cannot be read, is a link, is another user's, may be read by others, or holds no
            credential.
    """
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


def check_prefect_api(url: str) -> None:
    """Refuse what is no address, and one at which the server of `flows.serve` has ended; ConfigError.

    Whoever has taken its port since, perhaps another user of the machine, would be shown the credential, which the next
    `flows.serve` uses again.
    """
    port = own_port(url)
    if port is None:
        return
    with suppress(OSError):  # without the lock's file nobody holds it
        lock = os.open(lock_of_port(port), os.O_RDWR | os.O_NOFOLLOW)
        try:
            if not is_free(lock):
                return
        finally:
            os.close(lock)
    raise no_server(url)


def no_server(url: str) -> ConfigError:
    """The error for an address at which no server of this user's answers."""
    return ConfigError(
        f"no Prefect server answers at {shown(url)}",
        hint="Start `python -m flows.serve`, or give this shell the address of the one that runs: "
        "`export PREFECT_API_URL=…`.",
    )


def own_port(url: str) -> int | None:
    """The port of an address to which the kept credential belongs; None for any other server.

    Raises:
        ConfigError: it is no address.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"PREFECT_API_URL is {shown(url)}, which is not an address",
            hint="Give one such as http://127.0.0.1:4200/api.",
        )
    if parts.hostname not in LOCAL or port is None:
        return None
    with suppress(ConfigError, OSError):
        return port if prefect_setting("api", "auth_string") == read_credential(prefect_home() / CREDENTIAL) else None
    return None


def lock_of_port(port: int) -> Path:
    """The file that a port's server and whoever started it hold: nobody else there is shown the credential."""
    return prefect_home() / f"stemworks-{port}.lock"


def take(lock: int) -> bool:
    """Take a lock, given by its descriptor; False if another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(lock: int) -> bool:
    """Whether no other process has a lock, given by its descriptor."""
    if free := take(lock):
        fcntl.flock(lock, fcntl.LOCK_UN)
    return free
