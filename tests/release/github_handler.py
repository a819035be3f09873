"""What the answers of the GitHub of `github_server` have in common."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from tests.release.github_server import Fault, GithubServer

BLOCK = 1 << 16


class ClientGone(Exception):
    """The client hung up in the middle of what it sent."""


class Handler(BaseHTTPRequestHandler):
    github: "GithubServer"
    routes: ClassVar[list[tuple[str, str, Callable[..., None]]]]

    def _answer(self) -> None:
        address = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(address.query).items()}
        self.github.requests.append(f"{self.command} {self.path}")
        self.unread = int(self.headers.get("Content-Length", 0))
        fault = self.github.fault(self.command, self.path)
        if fault and not fault.after:
            self._fail(fault)
            return
        self.lost = fault
        for method, pattern, handle in self.routes:
            match = re.fullmatch(pattern, unquote(address.path))
            if match and method == self.command.replace("HEAD", "GET"):
                handle(self, *match.groups())
                return
        self.send(404, {"message": "Not Found"})

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = _answer

    def _fail(self, fault: "Fault") -> None:
        if fault.status:
            self._send_now(fault.status, fault.body, fault.headers)
        else:
            self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def send(self, status: int, body: object = b"", headers: dict[str, str] | None = None) -> None:
        if self.lost:
            self._fail(self.lost)
        else:
            self._send_now(status, body, headers or {})

    def _send_now(self, status: int, body: object, headers: dict[str, str]) -> None:
        for _ in self.body():
            pass  # a connection that is closed with something unread loses the answer
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def body(self) -> Iterator[bytes]:
        while self.unread:
            block = self.rfile.read(min(self.unread, BLOCK))
            if not block:
                raise ClientGone
            self.unread -= len(block)
            yield block

    def json(self) -> dict[str, object]:
        return json.loads(b"".join(self.body()))

    def redirect(self, location: str) -> None:
        self.send(302, headers={"Location": location})

    def already_exists(self, resource: str, name: str) -> None:
        errors = [{"resource": resource, "code": "already_exists", "field": name}]
        self.send(422, {"message": "Validation Failed", "errors": errors})

    def is_authorized(self) -> bool:
        """Whether the request carries the token; one with another token is answered here."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme and (scheme.lower() not in {"bearer", "token"} or token != self.github.token):
            self.send(401, {"message": "Bad credentials"})
        elif not scheme:
            self.send(404, {"message": "Not Found"})
        return bool(scheme) and token == self.github.token

    def log_message(self, *args: object) -> None:
        pass


def authorized(handle: Callable[..., None]) -> Callable[..., None]:
    def checked(handler: Handler, repository: str, *groups: str) -> None:
        if not handler.is_authorized():
            return
        if repository != handler.github.name:
            handler.send(404, {"message": "Not Found"})
            return
        with handler.github.lock:
            handle(handler, *groups)

    return checked
