"""Prefect's runner, ended as a command is: by Ctrl-C and SIGTERM alike, once what runs has ended."""

import asyncio
from functools import partial
from typing import Any

from prefect.runner import Runner


class CommandRunner(Runner):
    """A runner that SIGTERM cancels, as Ctrl-C does; Prefect's own handler does not wait for the runs' end."""

    async def start(self, run_once: bool = False, webserver: bool | None = None) -> None:
        """Serve until interrupted; runs under way are told of it and have ended when this returns."""
        serving = asyncio.current_task()
        assert serving is not None
        self._end = partial(asyncio.get_running_loop().call_soon_threadsafe, serving.cancel)
        await super().start(run_once, webserver)

    def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
        """Cancel `start`."""
        self._end()
