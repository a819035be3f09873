"""A real Prefect server as a process of its own, on a database that outlives it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import httpx

from tests.faults.workplace import kill_group, wait_until
from tests.tasks.mlflow_server import free_port

# Without certificates, whose reading takes longer than an answer.
_PATIENT: dict[str, Any] = {"verify": False, "timeout": 30}


class PrefectServer:
    """A server on a folder; killed and started again it has the same address and database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[str] | None = None
        self.url = f"http://127.0.0.1:{self._port}/api"

    def start(self) -> Self:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return self
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        environment = kept | {"PREFECT_HOME": str(self._folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, text=True, start_new_session=True
            )
        wait_until(self._answers, self._process)
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", **_PATIENT).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it and what it has started at once, without a chance to finish anything."""
        if self._process is not None:
            kill_group(self._process)
            self._process = None

    def flow_runs(self) -> dict[str, str]:
        """The state of each flow run, by its flow's name; of the last one, where a flow has run more than once."""
        flows = {flow["id"]: flow["name"] for flow in self._found("flows")}
        return {flows[run["flow_id"]]: run["state_type"] for run in self._found("flow_runs")}

    def _found(self, what: str) -> list[dict[str, str]]:
        order = {"sort": "START_TIME_ASC"} if what == "flow_runs" else {}
        answer = httpx.post(f"{self.url}/{what}/filter", json=order, **_PATIENT).raise_for_status()
        found: list[dict[str, str]] = answer.json()
        return found
