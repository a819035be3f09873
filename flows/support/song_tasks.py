"""One task run a song, a limited number of them at once: memory does not grow with the dataset."""

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
_AT_ONCE = 256


def finished_tasks(
    task: Task[..., Result], songs: Iterable[Song], *shared: Any, description: str, total: int
) -> Iterator[tuple[Song, PrefectFuture[Result]]]:
    """Submit a task for each song and yield each with its finished future, in the songs' order.

    Args:
        task: Called with the song and the shared arguments.
        songs: May be many more than fit into memory.
        shared: Further arguments, the same for all.
        description: Of the bar on the terminal and of the progress artifact in Prefect.
        total: How many songs there are.
    """
    if not total:
        return
    waiting: deque[tuple[Song, PrefectFuture[Result]]] = deque()
    remaining = iter(songs)
    with progress_bar() as bar, ProgressArtifact(description) as progress:
        for done in bar.track(range(1, total + 1), description=description):
            for song in islice(remaining, _AT_ONCE - len(waiting)):
                waiting.append((song, task.submit(song, *shared)))
            song, future = waiting.popleft()
            future.wait()
            yield song, future
            progress(done, total, f"{done} of {total} songs")


def results(futures: Sequence[PrefectFuture[Result]], description: str) -> list[Result]:
    """Wait for tasks in their order, with a bar; the first failure is raised."""
    with progress_bar() as bar:
        return [future.result() for future in bar.track(futures, description=description)]
