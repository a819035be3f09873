"""`flows.serve` as a process with a Prefect server of its own, and Prefect's command line beside it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.repository import ROOT
from tests.tasks.mlflow_server import free_port

_PATIENCE_S = 240.0


class Served:
    """What is served from a folder.

    Args:
        folder: Where `flows.serve` is started, and its runs work.
        environment: Of all processes.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._port = free_port()
        self.api = f"http://127.0.0.1:{self._port}/api"
        self.environment = environment | {
            # An interval schedule is looked at every second, not every minute.
            "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_HOME": str(folder / "prefect-home"),
        }
        self.process: subprocess.Popen[str] | None = None
        self.exported: dict[str, str] = {}
        # Prefect reads its settings from the pyproject.toml of the folder that it is called in.
        shutil.copy(ROOT / "pyproject.toml", folder)

    def start(self, *, in_background: bool = False) -> list[str]:
        """Start it, with Ctrl-C ignored as a script's shell does ``in_background``; what it says when it is ready."""
        shell = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"] if in_background else []
        command = [*shell, sys.executable, "-m", "flows.serve", "--port", str(self._port)]
        with (self.folder / "serve.log").open("a") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert self.process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("prefect deployment run"):
            lines.append(self.process.stdout.readline().rstrip("\n"))
            assert lines[-1] or self.process.poll() is None, (self.folder / "serve.log").read_text()
        exported = [shlex.split(line)[1].partition("=") for line in lines if line.startswith("export ")]
        self.exported = {name: value for name, _, value in exported}
        return lines

    @property
    def auth(self) -> tuple[str, str]:
        """What the API wants to be shown, as httpx takes it."""
        user, _, password = self.exported["PREFECT_API_AUTH_STRING"].partition(":")
        return user, password

    def prefect(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Prefect's own command line, in the folder, with the lines that were printed."""
        return subprocess.run(
            [str(Path(sys.executable).with_name("prefect")), *arguments],
            cwd=self.folder,
            env=self.environment | self.exported | {"COLUMNS": "300"} | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )

    def post(self, path: str, **content: Any) -> Any:
        """What the API answers."""
        return self.request("POST", path, content).json()

    def request(self, method: str, path: str, content: Any = None) -> httpx.Response:
        """The API's answer; asked again, as Prefect's client does, while its database is locked by another request."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            answer = httpx.request(method, f"{self.api}/{path}", json=content, timeout=30, auth=self.auth)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                answer.raise_for_status()
                return answer
            assert time.monotonic() < deadline, answer.text
            time.sleep(0.2)

    def flow_runs(self) -> dict[str, dict[str, Any]]:
        """All flow runs by name, of equal names the latest."""
        return {run["name"]: run for run in self.post("flow_runs/filter", sort="EXPECTED_START_TIME_ASC")}

    def wait_for_run(self, name: str, *states: str) -> dict[str, Any]:
        """Wait until the flow run of a name is in one of some states."""
        deadline = time.monotonic() + _PATIENCE_S
        while (run := self.flow_runs().get(name)) is None or run["state_name"] not in states:
            assert time.monotonic() < deadline, self.flow_runs().keys()
            time.sleep(0.2)
        return run

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Ask it to end; its exit code."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.communicate(timeout=_PATIENCE_S)
        return self.process.returncode

    def kill_all(self) -> None:
        """kill -9 of it, its server and whatever it runs."""
        home = self.environment["PREFECT_HOME"]
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"PREFECT_HOME={home}".encode() in environ.read_bytes().split(b"\0"):
                    os.kill(int(environ.parent.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                continue
        if self.process is not None and self.process.returncode is None:
            self.process.communicate()
