"""The deployments of prefect.yaml, without their work pool and schedules, and the runner that serves them."""

import asyncio
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.types.entrypoint import EntrypointType

# In the checkout a link to the file that `prefect deploy` reads; in the wheel a copy of it.
_LISTED = Path(__file__).with_name("prefect.yaml")


def deployments() -> list[RunnerDeployment]:
    """All of them, in the order of the file. Training runs wait for each other, see `tasks.training.training_slot`."""
    return [_deployment(**listed) for listed in yaml.safe_load(_LISTED.read_text("utf-8"))["deployments"]]


def _deployment(
    name: str,
    entrypoint: str,
    tags: list[str],
    parameters: dict[str, Any] | None = None,
    concurrency_limit: dict[str, Any] | None = None,
    **of_the_work_pool: Any,
) -> RunnerDeployment:
    module, _, flow = entrypoint.rpartition(".")
    made: RunnerDeployment = getattr(import_module(module), flow).to_deployment(
        name,
        parameters=parameters or {},
        tags=tags,
        concurrency_limit=ConcurrencyLimitConfig(**concurrency_limit) if concurrency_limit else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return made


class CommandRunner(Runner):
    """A runner that SIGTERM cancels, as Ctrl-C does; Prefect's own handler does not wait for the runs' end."""

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Serve until interrupted; its runs are interrupted then, and have ended when this returns."""
        serving = asyncio.current_task()
        assert serving is not None
        self._end = partial(asyncio.get_running_loop().call_soon_threadsafe, serving.cancel)
        await super().start(run_once, webserver)

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """Cancel `start`."""
        self._end()
