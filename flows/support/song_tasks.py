"""One task run a song, a bounded number of them under way: memory does not grow with the dataset."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture

from flows.support.terminal import progress_bar
from tasks.artifacts import ProgressArtifact

Song = TypeVar("Song")
Result = TypeVar("Result")

# Enough that no worker waits for the oldest task to be collected, on a cluster too.
_UNDER_WAY = 256


def finished_tasks(
    task: Task[..., Result], songs: Iterable[Song], *shared: Any, description: str, total: int
) -> Iterator[tuple[Song, PrefectFuture[Result]]]:
    """Submit a task for each song and yield each with its finished future, in the songs' order.

    There is a bar on the terminal, and a progress artifact in Prefect.

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
    with progress_bar() as bar, ProgressArtifact(description) as progress:
        line = bar.add_task(description, total=total, note="")
        for done in range(1, total + 1):
            for song in islice(remaining, _UNDER_WAY - len(waiting)):
                waiting.append((song, task.submit(song, *shared)))
            yield _oldest(waiting)
            bar.advance(line)
            progress(done, total, f"{done} of {total} songs")


def _oldest(waiting: "deque[tuple[Song, PrefectFuture[Result]]]") -> tuple[Song, PrefectFuture[Result]]:
    song, future = waiting.popleft()
    future.wait()
    return song, future


def results(futures: Sequence[PrefectFuture[Result]], description: str) -> list[Result]:
    """Wait for tasks in their order, with a bar; the first failure is raised."""
    with progress_bar() as bar:
        line = bar.add_task(description, total=len(futures), note="")
        collected = []
        for future in futures:
            collected.append(future.result())
            bar.advance(line)
    return collected
