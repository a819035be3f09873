"""One process at a time: a lock that ends with its process, however that ends, and leaves no file behind."""

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_logger = logging.getLogger(__name__)
# Longer than a quick job, so that nothing is logged about one.
_QUIET_S = 2.0
_LOOK_EVERY_S = 0.5


def lock_of(folder: Path) -> Path:
    """The lock file for writing to a folder, beside it."""
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
    """Hold the lock ``path`` within a block.

    Args:
        path: The lock's file, in a folder that exists; it is there only while somebody holds the lock or waits.
        what: What is done under the lock, for the line that is logged while another process holds it.
        on_wait: Called repeatedly while another process holds it; may raise, to stop waiting.

    Raises:
        FileExistsError: a file with content has the lock's name; it is left as it is.
    """
    _refuse_foreign(path)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_QUIET_S)
    except Timeout:
        _logger.warning("waiting for another process: %s", what)
        while not lock.is_locked:
            on_wait()
            with suppress(Timeout):
                lock.acquire(timeout=_LOOK_EVERY_S)
    try:
        yield
    finally:
        # Before the release: whoever opened the file meanwhile sees that it is gone, and takes a new one.
        path.unlink(missing_ok=True)
        lock.release()


def _refuse_foreign(path: Path) -> None:
    """A file with content is no lock of ours: locking would empty and remove it."""
    with suppress(FileNotFoundError):
        if path.stat().st_size:
            raise FileExistsError(errno.EEXIST, "not a lock file of this program, move it elsewhere", str(path))
