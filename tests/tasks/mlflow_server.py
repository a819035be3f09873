"""A real MLflow server as a process of its own, on a store that outlives it."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import httpx

from tests.repository import ROOT

_START_S = 180.0


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MlflowServer:
    """A server on a folder; killed and started again it has the same address and store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> Self:
        """Start and wait until it answers."""
        options = ["--workers", "1", "--host", "127.0.0.1", "--port", str(self._port)]
        options += ["--backend-store-uri", f"sqlite:///{self._folder / 'mlflow.db'}"]
        options += ["--artifacts-destination", str(self._folder / "artifacts"), *_closing_options(self._port)]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *options],
                env=environment,
                cwd=self._folder,
                stdout=log,
                stderr=log,
                # Its workers are killed with it.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "server.log").read_text()
            assert time.monotonic() < deadline, f"no answer from {self.uri} in {_START_S:.0f} s"
            time.sleep(0.2)
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.uri}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """End it and its workers at once, without a chance to finish anything."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


def _closing_options(port: int) -> list[str]:
    """Those by which ``make ui`` keeps strangers out."""
    command = ["make", "--dry-run", "--no-print-directory", "ui", f"UI_PORT={port}"]
    # A make that runs the tests hands its own flags and variables on.
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    said = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout
    words = shlex.split(said.replace("\\\n", " ").splitlines()[-1])
    closing = ("--allowed-hosts", "--cors-allowed-origins", "--x-frame-options")
    return [word for option in closing for word in (option, words[words.index(option) + 1])]
