"""A Prefect server that a process starts for itself: closed to strangers, and gone when the process is."""

import atexit
import http.client
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

from flows.support.own_server import check_prefect_api, new_credential
from flows.support.prefect_api import configured_prefect_api
from sepcore.errors import ConfigError
from tasks.process_notes import OWN_PREFECT_API

HOST = "127.0.0.1"
# The first start makes the database.
_START_S = 120.0
_END_S = 20.0
_PROGRAM = Path(__file__).with_name("prefect_app.py")

Result = TypeVar("Result")


class PrefectServer:
    """A server of this process, to which ``PREFECT_API_URL`` and ``PREFECT_API_AUTH_STRING`` lead from then on.

    It ends with a pipe that this process holds, so also if this process is killed.

    Args:
        listening: A socket that listens; it is closed here, and requests wait in it until the server answers.
        credential: Required of clients.
        log: Takes the server's output.
        page: Whether it shows its page and lets schedules fire.
        lock: Descriptor of a file whose lock it shall hold, too.
    """

    def __init__(
        self, listening: socket.socket, credential: str, log: IO[bytes], *, page: bool, lock: int | None = None
    ) -> None:
        self._port = listening.getsockname()[1]
        self._log = log
        self.url = f"http://{HOST}:{self._port}/api"
        use_prefect_api(self.url, credential)
        settings = {
            "PREFECT_SERVER_API_AUTH_STRING": credential,
            "PREFECT_SERVER_API_BASE_PATH": "/api",
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.url.removesuffix("/api"),
            # By whichever of its names a browser has opened the page.
            "PREFECT_SERVER_UI_API_URL": "/api",
            # As pyproject.toml has it for servers that are started in the project's folder: a slot whose holder was
            # killed is freed by the next server, too.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        }
        with listening:
            # In a process group of its own: Ctrl-C ends this process, which then still talks to the server.
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(_PROGRAM), str(listening.fileno()), *(["page"] if page else [])],
                env=os.environ | settings,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[listening.fileno(), *([] if lock is None else [lock])],
                process_group=0,
            )

    def wait(self) -> None:
        """Wait until it answers; ConfigError if it does not start."""
        try:
            connection = http.client.HTTPConnection(HOST, self._port, timeout=_START_S)
            connection.request("GET", "/api/health")
            answered = connection.getresponse().status == http.HTTPStatus.OK
            connection.close()
        except (OSError, http.client.HTTPException):
            answered = False
        if not answered:
            self._log.seek(0)
            lines = [line.strip() for line in self._log.read().decode("utf-8", "replace").splitlines() if line.strip()]
            reason = f" ({lines[-1]})" if lines else ""
            raise ConfigError(f"Prefect's server does not start at {self.url}{reason}")

    def stop(self) -> None:
        """End it, once it has answered the requests that it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.wait()


def use_prefect_api(url: str, credential: str) -> None:
    """Lead Prefect, which has not been imported yet, and child processes to the API of a server started here."""
    os.environ["PREFECT_API_URL"] = os.environ[OWN_PREFECT_API] = url
    os.environ["PREFECT_API_AUTH_STRING"] = credential
    # Neither the credential nor anything else leaves the machine on its way to the server.
    for name in ("no_proxy", "NO_PROXY"):
        if HOST not in (there := os.environ.get(name, "")).split(","):
            os.environ[name] = ",".join(filter(None, [there, HOST]))


_own: PrefectServer | None = None


def start_prefect() -> None:
    """Start a server for this command where no Prefect API is configured; call it before Prefect is imported.

    It starts while the command imports what it needs, see `with_prefect`, and ends with the command.
    """
    global _own
    if configured_prefect_api():
        return
    # The system drops it when both have ended.
    log = tempfile.TemporaryFile()  # noqa: SIM115 -- the server writes to it as long as it lives
    _own = PrefectServer(socket.create_server((HOST, 0)), new_credential(), log, page=False)
    os.environ.setdefault("PREFECT_UI_URL", "")  # there is no page to link to
    # Registered before Prefect's own hook, so run after it: what Prefect still has to send is sent before.
    atexit.register(_own.stop)


def with_prefect(work: Callable[[], Result]) -> Result:
    """Do a command's work once the server of `start_prefect` answers, if one was started; ConfigError if it does not.

    Flows send it no heartbeats, unless ``PREFECT_FLOWS_HEARTBEAT_FREQUENCY`` asks for them: nobody listens, and a
    flow's end waits half a second on average for the thread that sends them.
    """
    if _own is None:
        if url := configured_prefect_api():
            check_prefect_api(url)
        return work()
    _own.wait()
    if "PREFECT_FLOWS_HEARTBEAT_FREQUENCY" in os.environ:
        return work()
    from prefect.settings import temporary_settings

    with temporary_settings({"flows.heartbeat_frequency": None}):
        return work()
