"""Prefect's server, closed to strangers: a program of its own, started by `flows.support.prefect_server`.

``python -P prefect_app.py DESCRIPTOR [page]`` serves on the listening socket that it inherits, until its standard input
ends: the process that started it holds the other end of that pipe, which closes however that process ends. Prefect's
settings (``PREFECT_SERVER_API_AUTH_STRING``) and `Closed` limit who may ask.
"""

import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

_HOSTS = "127.0.0.1", "localhost", "[::1]"
_HTTP_PORT = 80  # browsers leave it out
# For answers that are under way at the end.
_GRACE_S = 5
_END_S = 15.0
_FAILED = 3

_Message = MutableMapping[str, Any]
_Send = Callable[[_Message], Awaitable[None]]
_App = Callable[[_Message, Callable[[], Awaitable[_Message]], _Send], Awaitable[None]]


class Closed:
    """Refuses requests of other sites' pages, and requests for another host name.

    A browser sends what any page asks it to, and names that page as ``Origin``. A page may also let a name of its own
    lead to this machine (DNS rebinding): to the browser it is then at its own server, but the ``Host`` is that name.

    Args:
        app: Prefect's application.
        port: Where it is served.
    """

    def __init__(self, app: _App, port: int) -> None:
        self._app = app
        names = [f"{host}:{port}" for host in _HOSTS] + (list(_HOSTS) if port == _HTTP_PORT else [])
        self._allowed = {b"host": {name.encode() for name in names}}
        self._allowed[b"origin"] = {b"http://" + name for name in self._allowed[b"host"]}

    async def __call__(self, scope: _Message, receive: Callable[[], Awaitable[_Message]], send: _Send) -> None:
        """Hand a request on, or answer it with 403."""
        if scope["type"] == "lifespan" or self._is_welcome(scope["headers"]):
            await self._app(scope, receive, _unframed(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
        else:
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"foreign Host or Origin\n"})

    def _is_welcome(self, headers: list[tuple[bytes, bytes]]) -> bool:
        sent = {name: [value.lower() for key, value in headers if key.lower() == name] for name in self._allowed}
        return bool(sent[b"host"]) and all(set(values) <= self._allowed[name] for name, values in sent.items())


def _unframed(send: _Send) -> _Send:
    """No other page shows an answer as a part of itself, and has its user click there."""

    async def sent(message: _Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-frame-options", b"SAMEORIGIN")]
        await send(message)

    return sent


def _main(descriptor: int, *, page: bool) -> int:
    ending, ended = threading.Event(), threading.Event()
    server: Any = None

    def end_with_parent() -> None:
        while os.read(0, 1):
            pass
        ending.set()
        if server is not None:
            server.should_exit = True
            ended.wait(_END_S)
        os._exit(_FAILED)

    threading.Thread(target=end_with_parent, daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    settings = get_current_settings().server
    listening = socket.socket(fileno=descriptor)
    config = uvicorn.Config(
        Closed(create_app(ephemeral=not page, final=True), listening.getsockname()[1]),
        lifespan="on",
        log_level=settings.logging_level.lower(),
        proxy_headers=False,
        timeout_keep_alive=settings.api.keepalive_timeout,
        timeout_graceful_shutdown=_GRACE_S,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
    )
    server = uvicorn.Server(config)
    if ending.is_set():
        return _FAILED
    server.run(sockets=[listening])
    ended.set()
    return 0 if server.started else _FAILED


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), page=sys.argv[2:] == ["page"]))
