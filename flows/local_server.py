"""A Prefect server of this machine's own, for a command that needs one that stays."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from sepcore.errors import ConfigError

_HOST = "127.0.0.1"
_LOCAL = _HOST, "localhost"
# The first start makes the database.
_START_S = 120.0
_END_S = 20.0
_ANSWER_S = 5.0
_LOG = "server.log"
_WHO_IS_THERE = 401, 403
# As pyproject.toml has it for servers that are started in the project's folder: a slot whose holder was killed is freed
# by the next server, too.
_LEASES_ON_DISK = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}


@contextmanager
def prefect_api(configured: str | None, port: int) -> Iterator[str]:
    """Address of a Prefect API that answers; ends the server with the context if it was started here.

    Args:
        configured: Address that the environment or Prefect's profile names, if one does.
        port: Where a server on this machine is looked for otherwise.

    Raises:
        ConfigError: the configured server is another machine's and does not answer, or something else has the port.
    """
    url = (configured or f"http://{_HOST}:{port}/api").rstrip("/")
    if is_answering(url):
        yield url
        return
    parts = urlsplit(url)
    if parts.hostname not in _LOCAL or not parts.port:
        raise ConfigError(
            f"Prefect's API at {url} does not answer; start it with `prefect server start`, or take it out of "
            "PREFECT_API_URL and of Prefect's profile: then a server is started here."
        )
    if _is_taken(parts.port):
        raise ConfigError(
            f"port {parts.port} is taken by another program, which is no Prefect server; choose another: --port "
            f"{parts.port + 1}"
        )
    with _server(url, parts.port):
        yield url


def is_answering(url: str) -> bool:
    """Whether a Prefect server answers at the address of an API, or asks who is there."""
    local = urlsplit(url).hostname in _LOCAL  # no proxy leads there
    try:
        answer = httpx.get(f"{url}/health", timeout=_ANSWER_S, trust_env=not local)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return answer.status_code in _WHO_IS_THERE or (answer.is_success and answer.text.strip() == "true")


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just ended is no hindrance
        try:
            probe.bind((_HOST, port))
        except PermissionError:
            return False  # a port below 1024: the server says so
        except OSError:
            return True
    return False


@contextmanager
def _server(url: str, port: int) -> Iterator[None]:
    log = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect") / _LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "prefect", "server", "start", "--host", _HOST, "--port", str(port)]
    with log.open("w") as output:
        # In a process group of its own: Ctrl-C ends what is served first, which tells the server so.
        process = subprocess.Popen(
            command,
            # By its own address the server's page knows where the API is, whatever the port.
            env=os.environ | {"PREFECT_API_URL": url, **_LEASES_ON_DISK},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    try:
        _wait_for(process, url, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not is_answering(url):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
            said = f" ({lines[-1]})" if lines else ""
            raise ConfigError(f"Prefect's server does not start at {url}{said}; {log} has more, --port another port.")
        time.sleep(0.2)
