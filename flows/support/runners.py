"""Where a flow's tasks run: in threads of this process, or on a Dask cluster whose machines share a file system."""

import argparse
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlsplit

from sepcore.cores import num_cores
from sepcore.errors import ConfigError

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

_CONNECT_TIMEOUT_S = 5
RunnerName = Literal["local", "dask"]


def add_runner_options(parser: argparse.ArgumentParser, *, workers: str = "as many as it has cores") -> None:
    """``--runner``, ``--scheduler`` and ``--workers``; ``workers`` says how many there are by default."""
    parser.add_argument(
        "--runner",
        choices=get_args(RunnerName),
        default="local",
        help="where songs are worked on: this machine, or a Dask cluster with a shared file system (default: local)",
    )
    parser.add_argument("--scheduler", metavar="URL", help="of the Dask cluster, e.g. tcp://10.0.0.1:8786")
    parser.add_argument(
        "--workers", type=int, metavar="N", help=f"songs at a time on this machine (default: {workers})"
    )


def check_runner(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together, with one line."""
    if arguments.workers is not None and arguments.workers < 1:
        parser.error(f"--workers is {arguments.workers}; give at least 1")
    if arguments.runner == "local" and arguments.scheduler:
        parser.error("--scheduler is for --runner dask; add it, or leave --scheduler out")
    if arguments.runner == "dask":
        if not arguments.scheduler:
            parser.error("--runner dask needs --scheduler URL, the address that `dask scheduler` prints")
        if arguments.workers is not None:
            parser.error("--workers is for this machine; how many a Dask cluster has is told to its workers")
        if not find_spec("prefect_dask"):
            parser.error("--runner dask needs prefect-dask: pip install -e '.[cluster]'")
        _scheduler_place(parser, arguments.scheduler)


def _scheduler_place(parser: argparse.ArgumentParser, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
        parser.error(f"--scheduler is {url!r}; expected tcp://HOST:PORT as `dask scheduler` prints it")


def check_scheduler(scheduler: str | None) -> None:
    """Refuse an address at which nothing listens, before Prefect starts; ConfigError."""
    if scheduler:
        parts = urlsplit(scheduler)
        try:
            socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_TIMEOUT_S).close()
        except OSError as error:
            raise ConfigError(
                f"--scheduler {scheduler}: nothing answers there ({error.strerror or error}); "
                "start `dask scheduler` and give the address that it prints."
            ) from error


def model_anywhere(params: str) -> str:
    """What ``-p`` takes, for a process with another working directory; a name stays a name."""
    return str(Path(params).absolute()) if Path(params).exists() else params


def task_runner(
    runner: RunnerName = "local", scheduler: str | None = None, workers: int | None = None
) -> "TaskRunner[Any]":
    """Prefect's task runner for the options of `add_runner_options`."""
    if runner == "dask":
        from prefect_dask import DaskTaskRunner

        return DaskTaskRunner(address=scheduler)
    from prefect.task_runners import ThreadPoolTaskRunner

    # Decoding, FFTs and quantisation run outside the interpreter's lock: two threads cache twice as fast as one, and no
    # slower than two processes (17.3 against 17.1 ms a signal's chunk), which would each load the packages anew.
    return ThreadPoolTaskRunner(max_workers=workers or num_cores())
