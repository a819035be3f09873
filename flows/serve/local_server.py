"""A Prefect server of this machine that stays while something is served, shared by all that serve at its port."""

import errno
import os
import socket
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import httpx

from flows.support.own_server import CREDENTIAL, LOCAL, is_free, kept_credential, lock_of_port, own_port, take
from flows.support.prefect_api import UNAUTHORIZED, prefect_home
from flows.support.prefect_server import HOST, PrefectServer, use_prefect_api
from sepcore.errors import ConfigError
from sepcore.system.urls import shown

# A server may be just ending, with whoever started it.
_PATIENCE_S = 60.0
# Another server that has just been started listens before it takes the lock.
_STRANGER_S = 2.0
_PAUSE_S = 0.2
_ANSWER_S = 5.0


@contextmanager
def prefect_api(configured: str | None, port: int) -> Iterator[PrefectServer | None]:
    """Let Prefect's settings lead to an API that answers, or to a server that ends with the context.

    Args:
        configured: Address that Prefect's settings name, if they name one.
        port: Port of the shared server on this machine that is used otherwise.

    Yields:
        The server that was started here, if one was; its start is not waited for.

    Raises:
        ConfigError: the configured server is another machine's and does not answer, another program has the port, or
            the credential cannot be used.
    """
    if configured is not None and own_port(configured) is None and is_answering(configured):
        os.environ["PREFECT_API_URL"] = configured  # also for processes in another working directory
        yield None
        return
    parts = urlsplit(configured or f"http://{HOST}:{port}/api")
    if parts.hostname not in LOCAL or not parts.port:
        raise ConfigError(
            f"Prefect's API at {shown(configured)} does not answer",
            hint="Start it with `prefect server start`, or remove it from PREFECT_API_URL and Prefect's profile to "
            "start a server here.",
        )
    port, home = parts.port, prefect_home()
    credential = kept_credential(home / CREDENTIAL)
    with ExitStack() as stack:
        lock = os.open(lock_of_port(port), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        stack.callback(os.close, lock)
        listening = _listen(port, lock, credential)
        if listening is None:
            use_prefect_api(f"http://{HOST}:{port}/api", credential)
            yield None
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        log = stack.enter_context(os.fdopen(os.open(home / f"stemworks-{port}.log", flags, 0o600), "w+b"))
        server = PrefectServer(listening, credential, log, page=True, lock=lock)
        stack.callback(server.stop)
        yield server


def is_answering(url: str) -> bool:
    """Whether a Prefect server answers at the address of an API, be it only to ask for a credential."""
    local = urlsplit(url).hostname in LOCAL  # no proxy leads there
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=_ANSWER_S, trust_env=not local)
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
    return answer.status_code in UNAUTHORIZED or (answer.is_success and answer.text.strip() == "true")


def _listen(port: int, lock: int, credential: str) -> socket.socket | None:
    """A socket that listens, with the lock held; None where a server of this user's own answers there."""
    deadline = time.monotonic() + _PATIENCE_S
    strangers_until = time.monotonic() + _STRANGER_S
    while True:
        try:
            listening = socket.create_server((HOST, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                problem = f"port {port} cannot be used ({error.strerror})"
                raise ConfigError(problem, hint="Choose another with --port N.") from error
            if not is_free(lock):
                if _lets_in(port, credential):
                    return None
            elif time.monotonic() > strangers_until:
                raise ConfigError(
                    f"port {port} is taken by another program",
                    hint=f"Choose another, e.g. --port {port + 1}, or, if it is a Prefect server of your own, "
                    f"`export PREFECT_API_URL=http://{HOST}:{port}/api`.",
                ) from error
        else:
            if take(lock):
                return listening
            listening.close()  # the last server of the port may just be ending
        if time.monotonic() > deadline:
            raise ConfigError(
                f"a flows.serve of port {port} has not ended, and its server does not answer",
                hint="Kill both, or choose another port with --port N.",
            )
        time.sleep(_PAUSE_S)


def _lets_in(port: int, credential: str) -> bool:
    """Whether a server of this user's own answers; False if it is just ending."""
    headers = {"Authorization": f"Basic {b64encode(credential.encode()).decode()}"}
    try:
        # While it starts, it does not answer.
        answer = httpx.get(f"http://{HOST}:{port}/api/version", headers=headers, timeout=_PATIENCE_S, trust_env=False)
    except httpx.HTTPError:
        return False
    if answer.status_code in UNAUTHORIZED:
        raise ConfigError(
            f"Prefect's server at port {port} was started with another credential than that of "
            f"{prefect_home() / CREDENTIAL}",
            hint="End its flows.serve and run this again.",
        )
    return answer.is_success
