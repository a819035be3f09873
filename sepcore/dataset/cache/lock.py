"""One process at a time caches in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from sepcore.errors import DatasetError


@contextmanager
def lock_cache(folder: Path) -> Iterator[None]:
    """Hold the folder of a cache, which is made if missing; a process that dies lets go of it.

    Raises:
        DatasetError: if another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise DatasetError(f"{folder}: another process caches songs here; wait for it, or stop it.") from error
