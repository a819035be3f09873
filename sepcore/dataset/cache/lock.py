"""One process at a time caches in a folder; the others wait for it."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sepcore.errors import CacheNotWritable
from sepcore.system.locks import locked
from sepcore.system.os_errors import fix_for, reason_of


@contextmanager
def lock_cache(folder: Path) -> Iterator[None]:
    """Hold the folder of a cache, which is made if missing; while another process does, a line says so, and this waits.

    A process that dies lets go of it.

    Raises:
        CacheNotWritable: if the folder or its lock cannot be made.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(locked(folder / ".lock", f"caching songs in {folder}"))
        except OSError as error:
            raise CacheNotWritable(
                f"cannot be written to ({reason_of(error)}), and does not hold all of these songs yet",
                path=folder,
                hint=f"{fix_for(error)}, or set training_cache and validation_cache to other folders.",
                errno=error.errno,
            ) from error
        yield
