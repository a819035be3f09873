"""Work on several threads: how many cores there are, one call, a map that keeps the order, a stream read ahead."""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def num_cores() -> int:
    """Cores that this process may use, limited by a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, quota_cores(_QUOTA) or cores)


def quota_cores(file: Path) -> int | None:
    """A container's quota in cores, rounded up, from ``cpu.max`` of its control group (version 2); None without one."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, _, period = file.read_text("ascii").partition(" ")
        return max(math.ceil(int(quota) / int(period)), 1)
    return None


Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], *, threads: int, ahead: int | None = None
) -> Generator[Result, None, None]:
    """Yield ``function(item)`` for each item, in order, as `map` does; its threads end with it.

    Args:
        function: Worth a thread if it releases the interpreter's lock, as numpy and networks do.
        items: Taken by the caller's thread, at most ``ahead + 1`` ahead of what is yielded, so that a stream of any
            length takes bounded memory.
        threads: How many items are worked on at once; with 1, the caller's thread does the work.
        ahead: How many items are worked on before they are asked for; default: one for each thread.
    """
    if threads == 1:
        yield from map(function, items)
        return
    under_way: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                # One more than that, so that no thread waits while a result is taken.
                if len(under_way) > (ahead or threads):
                    yield under_way.popleft().result()
                under_way.append(pool.submit(function, item))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def in_thread(function: Callable[..., Result], *args: Any) -> Future[Result]:
    """Call a function in a thread of its own; the process waits for its end."""
    thread = ThreadPoolExecutor(1)
    called = thread.submit(function, *args)
    thread.shutdown(wait=False)
    return called


@dataclass
class _End:
    """Comes after the last item, with the error that ended the stream if one did."""

    error: BaseException | None


@contextmanager
def prefetched(items: Generator[Item, None, None], *, depth: int) -> Iterator[Iterator[Item]]:
    """Read a generator ahead in a thread of its own, which ends with the block; yields an iterator of its items.

    The generator's error comes out of the iterator in place of its next item.

    Args:
        items: Run only by the thread, which closes it when it is exhausted or the block ends.
        depth: How many items may wait to be taken.
    """
    waiting: Queue[Item | _End] = Queue(depth)
    stop = threading.Event()

    def read() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                waiting.put(item)
                if stop.is_set():
                    break
        except BaseException as raised:
            error = raised
        finally:
            items.close()
            waiting.put(_End(error))

    def taken() -> Iterator[Item]:
        while not isinstance(item := waiting.get(), _End):
            yield item
        waiting.put(item)  # for another call, and for the end of the block
        if item.error:
            raise item.error

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    try:
        thread.start()
        yield taken()
    finally:
        stop.set()
        if thread.ident is not None:  # Ctrl-C may have come before it ran
            while not isinstance(waiting.get(), _End):  # so that the thread can put in what it has
                pass
            thread.join()
