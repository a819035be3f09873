"""The serving of deployments: a Prefect server, if one is needed, and a runner."""

import asyncio
import os
import shlex

from flows.serve.local_server import prefect_api
from flows.serve.options import Options
from flows.support.prefect_api import configured_prefect_api
from flows.support.terminal import say
from sepcore.system.urls import shown
from tasks.process_notes import is_own_prefect_api


def main(options: Options) -> None:
    """Serve until Ctrl-C."""
    with prefect_api(configured_prefect_api(), options.port) as server:
        from flows.serve.deployments import CommandRunner, deployments
        from tasks.dead_runs import mark_dead_runs

        if server is not None:
            server.wait()  # it starts while the above is imported
        mark_dead_runs()
        runner = CommandRunner(pause_on_shutdown=False)
        served = deployments()
        for deployment in served:
            runner.add_deployment(deployment)
        _say_what_is_served([deployment.name for deployment in served])
        try:
            asyncio.run(runner.start())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _say_what_is_served(names: list[str]) -> None:
    url = os.environ["PREFECT_API_URL"].rstrip("/")
    lines = [
        f"serving {', '.join(names)}; Ctrl-C ends it",
        f"Prefect's page: {shown(url.removesuffix('/api'))}",
        "in another shell, in this folder:",
        f"export PREFECT_API_URL={shlex.quote(url)}",
    ]
    if is_own_prefect_api():
        lines.insert(2, "log in there once, with the value of PREFECT_API_AUTH_STRING")
        lines.append(f"export PREFECT_API_AUTH_STRING={shlex.quote(os.environ['PREFECT_API_AUTH_STRING'])}")
    say([*lines, f"prefect deployment run {names[1]}"])
