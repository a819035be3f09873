"""The server of `flows.serve` as its user's shells know it: it holds the lock of its port, and nobody else is asked."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from flows.support.credential import CREDENTIAL, read_credential
from flows.support.prefect_api import prefect_home, prefect_setting
from sepcore.errors import ConfigError
from sepcore.system.urls import shown

LOCAL = "127.0.0.1", "localhost"


def check_prefect_api(url: str) -> None:
    """Refuse what is no address, and one at which the server of `flows.serve` has ended.

    Whoever has its port since, another user of the machine say, would be shown the credential, which the next start
    of `flows.serve` takes again.

    Raises:
        ConfigError: one line.
    """
    port = own_port(url)
    if port is not None and _is_free(lock_of_port(port)):
        raise no_server(url)


def no_server(url: str) -> ConfigError:
    """The error for an address at which nothing of this user's answers."""
    return ConfigError(
        f"no Prefect server answers at {shown(url)}",
        hint="Start `python -m flows.serve`, or give this shell the address of the one that runs: "
        "`export PREFECT_API_URL=…`.",
    )


def own_port(url: str) -> int | None:
    """The port of an address to which the kept credential belongs; None if it is a server of another kind.

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
    """Held by the server of a port and by who has started it: nobody else at that port is shown the credential."""
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


def _is_free(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        return is_free(lock)
    finally:
        os.close(lock)
