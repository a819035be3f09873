"""A stream that is read ahead by a thread of its own."""

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any, TypeVar

Item = TypeVar("Item")


class _End:
    """Comes after the last item, with the error that ended the stream if one did."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


@contextmanager
def prefetched(items: Generator[Item, None, None], *, depth: int) -> Iterator[Iterator[Item]]:
    """Read a generator ahead from now on, in a thread; yields an iterator of its items.

    Args:
        items: Run by the thread alone, which closes it when it ends or the block does.
        depth: How many items may wait to be taken.

    The generator's error comes out of the iterator where its next item would. When the block ends, the thread has.
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
        waiting.put(item)  # for who asks again, and for the end of the block
        if item.error:
            raise item.error

    thread = threading.Thread(target=read, name="prefetch", daemon=True)
    try:
        thread.start()
        yield taken()
    finally:
        stop.set()
        if thread.ident is not None:  # Ctrl-C may have come before it ran
            _drain(waiting)
            thread.join()


def _drain(waiting: "Queue[Any]") -> None:
    """Take what waits until the end comes, so that whoever puts items in is not held up."""
    while not isinstance(waiting.get(), _End):
        pass
