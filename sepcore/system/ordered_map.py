"""A function over a stream on several threads at once, results in the stream's order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def ordered_map(function: Callable[[Item], Result], items: Iterable[Item], *, threads: int) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in their order, as `map` does.

    Args:
        function: Worth a thread if it releases the interpreter's lock, as numpy and networks do.
        items: Taken by the caller's thread, at most ``threads + 1`` ahead of what is yielded: a stream of any length
            takes bounded memory.
        threads: How many items are worked on at once; 1: by the caller's thread, one when it is asked for.
    """
    if threads == 1:
        yield from map(function, items)
        return
    under_way: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                # One more than there are threads, so that none waits while a result is taken.
                if len(under_way) > threads:
                    yield under_way.popleft().result()
                under_way.append(pool.submit(function, item))
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
