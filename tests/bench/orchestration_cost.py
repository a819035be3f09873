"""What Prefect costs: run as ``orchestration_cost.py prefect|plain songs|quickstart N``; prints seconds.

``plain`` runs the same code with flows and tasks that are nothing but their functions, songs in as many threads.
"""

import logging
import os
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

sys.path.insert(0, os.environ["STEMWORKS_ROOT"])

from flows.support.prefect_server import start_prefect, with_prefect

if sys.argv[1] == "prefect":
    start_prefect()

import prefect


class Plain:
    """A flow or task without Prefect."""

    pool = ThreadPoolExecutor(2)

    def __init__(self, fn: Any) -> None:
        self.fn = fn
        self.__name__ = fn.__name__

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.fn(*given, **named)

    def submit(self, *given: Any, **named: Any) -> Any:
        future: Future[Any] = self.pool.submit(self.fn, *given, **named)
        future.wait = future.exception  # type: ignore[attr-defined]
        return future

    def map(self, songs: Any, *shared: Any) -> list[Any]:
        columns = [songs, *shared]
        return [
            self.submit(*(column.value if hasattr(column, "value") else column[row] for column in columns))
            for row in range(len(songs))
        ]

    def with_options(self, **options: Any) -> "Plain":
        return self


def plainly(fn: Any = None, **options: Any) -> Any:
    return Plain(fn) if fn is not None else Plain


def main(how: str, what: str, number: int) -> float:
    if how == "plain":
        prefect.flow, prefect.task = plainly, plainly
        prefect.get_run_logger = lambda: logging.getLogger("plain")
    from flows.support.runners import task_runner
    from flows.support.song_tasks import finished_tasks

    @prefect.task(task_run_name="song-{song}")
    def work(song: int) -> int:
        return song

    @prefect.flow(task_runner=task_runner(workers=2))
    def songs(number: int) -> int:
        tasks = finished_tasks(work, range(number), description="songs", total=number)
        return sum(future.result() for _, future in tasks)

    assert songs(1) == 0
    started = time.perf_counter()
    if what == "songs":
        assert songs(number) == number * (number - 1) // 2
    else:
        from flows.quickstart.flow import quickstart

        os.environ["MODEL_PATH"] = "data/quickstart/models"
        quickstart(number)
    return time.perf_counter() - started


if __name__ == "__main__":
    seconds = with_prefect(lambda: main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    sys.stdout.write(f"{seconds}\n")
