"""One task run a song, a bounded number of them under way: memory does not grow with the dataset."""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture

from flows.terminal import progress_bar

Song = TypeVar("Song")
Result = TypeVar("Result")

# Enough that no worker waits for the oldest task to be collected, on a cluster too.
_UNDER_WAY = 256


def finished_tasks(
    task: Task[..., Result], songs: Iterable[Song], *shared: Any, description: str, total: int
) -> Iterator[tuple[Song, PrefectFuture[Result]]]:
    """Submit a task for each song and yield each with its finished future, in the songs' order, with a bar.

    Args:
        task: Called with the song and what is shared.
        songs: May be many more than fit into memory.
        shared: Further arguments, the same for all.
        description: What the bar says.
        total: How many songs there are.
    """
    if not total:
        return
    waiting: deque[tuple[Song, PrefectFuture[Result]]] = deque()
    remaining = iter(songs)
    with progress_bar() as bar:
        line = bar.add_task(description, total=total, note="")
        for song in remaining:
            waiting.append((song, task.submit(song, *shared)))
            if len(waiting) >= _UNDER_WAY:
                yield _oldest(waiting)
                bar.advance(line)
        while waiting:
            yield _oldest(waiting)
            bar.advance(line)


def _oldest(waiting: "deque[tuple[Song, PrefectFuture[Result]]]") -> tuple[Song, PrefectFuture[Result]]:
    song, future = waiting.popleft()
    future.wait()
    return song, future
