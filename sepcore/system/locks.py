"""One process at a time: a lock that ends with its process, however that ends, and leaves no file behind."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_logger = logging.getLogger(__name__)
# Long enough that who waits for a quick job hears nothing of it.
_QUIET_S = 2.0
_LOOK_EVERY_S = 0.5


def lock_of(folder: Path) -> Path:
    """The lock of who writes a folder: beside it."""
    return folder.with_name(f".{folder.name}.lock")


def is_held(path: Path) -> bool:
    """Whether somebody holds the lock ``path``."""
    if not path.exists():
        return False
    _refuse_foreign(path)
    try:
        with FileLock(path, timeout=0):
            path.unlink(missing_ok=True)
            return False
    except Timeout:
        return True


@contextmanager
def locked(path: Path, what: str, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock ``path``; its folder exists.

    Args:
        path: The lock's file, which is there only while somebody holds it or waits.
        what: What is done under it, for the line that tells that somebody else is at it.
        on_wait: Called now and then while somebody else holds it; may raise, to wait no longer.

    Raises:
        FileExistsError: A file with content has the lock's name; it is left as it is.
    """
    _refuse_foreign(path)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_QUIET_S)
    except Timeout:
        _logger.warning("another process is at it: %s; waiting for its end", what)
        _wait(lock, on_wait)
    try:
        yield
    finally:
        # Before the release. Whoever opened the file meanwhile sees that it is gone, and takes a new one.
        path.unlink(missing_ok=True)
        lock.release()


def _refuse_foreign(path: Path) -> None:
    """A lock is empty: what is not was written by somebody else, and would be emptied and removed."""
    with suppress(FileNotFoundError):
        if path.stat().st_size:
            raise FileExistsError(errno.EEXIST, "not a lock file of this program, move it elsewhere", str(path))


def _wait(lock: FileLock, on_wait: Callable[[], None]) -> None:
    while True:
        on_wait()
        try:
            lock.acquire(timeout=_LOOK_EVERY_S)
        except Timeout:
            continue
        return
