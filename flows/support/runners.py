"""Where a flow's tasks run: in threads of this process, or on a Dask cluster whose machines share a file system."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from cyclopts import Parameter
from pydantic import PositiveInt, model_validator

from flows.support.extras import check_extras
from flows.support.options import Options
from sepcore.errors import ConfigError
from sepcore.system.threads import num_cores

if TYPE_CHECKING:
    from prefect.task_runners import TaskRunner

_CONNECT_TIMEOUT_S = 5
_ON_CLUSTER = "evaluate", "cluster"
GROUP = Parameter(group="where songs are worked on")
RunnerName = Literal["local", "dask"]


class OnRunner(Options):
    """The options of a command whose songs are worked on by tasks."""

    runner: Annotated[RunnerName, GROUP] = "local"
    """This machine, or a Dask cluster with a shared file system."""
    scheduler: Annotated[str | None, GROUP] = None
    """Address of the Dask cluster's scheduler, e.g. tcp://10.0.0.1:8786."""
    workers: Annotated[PositiveInt | None, GROUP] = None
    """Songs at a time on this machine (default: as many as it has cores)."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.runner == "local":
            if self.scheduler:
                raise ValueError("--scheduler is for --runner dask. Add it, or leave --scheduler out.")
            return self
        if not self.scheduler:
            raise ValueError("--runner dask needs --scheduler. Give the address that `dask scheduler` prints.")
        if self.workers is not None:
            raise ValueError("--workers is for this machine. Tell a Dask cluster's workers how many they are.")
        parts = urlsplit(self.scheduler)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
            raise ValueError(f"--scheduler is {self.scheduler!r}. Give tcp://HOST:PORT as `dask scheduler` prints it.")
        return self

    def extras(self) -> tuple[str, ...]:
        """See `Options.extras`; tasks on a cluster are those of a flow."""
        return (*super().extras(), *(_ON_CLUSTER if self.runner == "dask" else ()))

    def song_parameters(self) -> dict[str, Any]:
        """The fields as a flow that has a task runner takes them: all but those of this class."""
        return {name: value for name, value in self.parameters().items() if name not in OnRunner.model_fields}

    def task_runner(self, workers: int | None = None) -> "TaskRunner[Any]":
        """Prefect's task runner; ``workers`` songs at a time if the options name no number."""
        return task_runner(self.runner, self.scheduler, self.workers or workers)

    def check_scheduler(self) -> None:
        """Refuse an address at which nothing listens, before Prefect starts; ConfigError."""
        if self.scheduler:
            parts = urlsplit(self.scheduler)
            try:
                socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_TIMEOUT_S).close()
            except OSError as error:
                raise ConfigError(
                    f"--scheduler {self.scheduler}: nothing answers there ({error.strerror or error})",
                    hint="Start `dask scheduler` and give the address that it prints.",
                ) from error


def model_anywhere(params: str) -> str:
    """A model reference, for a process with another working directory; a name stays a name."""
    return str(Path(params).absolute()) if Path(params).exists() else params


def task_runner(
    runner: RunnerName = "local", scheduler: str | None = None, workers: int | None = None
) -> "TaskRunner[Any]":
    """Prefect's task runner for these options."""
    if runner == "dask":
        check_extras(_ON_CLUSTER)  # a deployment's run meets no command line
        from prefect_dask.task_runners import DaskTaskRunner

        return DaskTaskRunner(address=scheduler)
    from prefect.task_runners import ThreadPoolTaskRunner

    # Decoding, FFTs and quantization run outside the interpreter's lock: two threads cache twice as fast as one, and no
    # slower than two processes, which would each load the packages anew.
    return ThreadPoolTaskRunner(max_workers=workers or num_cores())
