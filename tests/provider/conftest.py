"""A tiny model's files, and a real server of releases on 127.0.0.1."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sepcore.config.load import load_config
from sepcore.provider import transfer

CHECKPOINT = {
    "checkpoint": b'model_checkpoint_path: "model"\nall_model_checkpoint_paths: "model"\n',
    "model.index": b"index",
    "model.data-00000-of-00001": b"weights" * 1000,
}


def names(folder: Path) -> list[str]:
    """What lies in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


@dataclass
class Response:
    """What is answered; a request for the rest of ``body`` gets the rest, if ``ranges``.

    With ``cut`` the connection breaks after so many bytes, with ``held`` the last byte waits for the event.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = False
    cut: int | None = None
    held: threading.Event | None = None


class ReleaseServer:
    """Answers GET and HEAD by path, each answer of a list once and its last for ever; else 404. Counts requests."""

    def __init__(self) -> None:
        self.answers: dict[str, Response | list[Response]] = {}
        self.missing = Response(b"no such page", 404)
        self.requests: Counter[str] = Counter()
        self.ranges: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests[self.path] += 1
                self._answer(send_body=True)

            def do_HEAD(self) -> None:
                server.requests[f"HEAD {self.path}"] += 1
                self._answer(send_body=False)

            def _answer(self, send_body: bool) -> None:
                answer = server.answers.get(self.path, server.missing)
                if isinstance(answer, list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                body, status, headers = answer.body, answer.status, dict(answer.headers)
                wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
                if wanted:
                    server.ranges.append(wanted)
                if wanted and answer.ranges and condition in (None, headers.get("ETag")):
                    start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                    if start < len(body):
                        status, headers["Content-Range"] = 206, f"bytes {start}-{len(body) - 1}/{len(body)}"
                        body = body[start:]
                    else:
                        status, body = 416, b""
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                if send_body and answer.held:
                    self.wfile.write(body[:-1])
                    self.wfile.flush()
                    answer.held.wait(60)
                    body = body[-1:]
                if send_body:
                    with suppress(BrokenPipeError, ConnectionResetError):  # a test kills who asked
                        self.wfile.write(body[: answer.cut])

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReleaseServer]:
    """A host of releases that `GITHUB_HOST` names."""
    running = ReleaseServer()
    monkeypatch.setenv("GITHUB_HOST", running.url)
    yield running
    running.close()


@pytest.fixture(autouse=True)
def models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty `MODEL_PATH`; no other variable of the provider's is set. Pauses between attempts are short."""
    monkeypatch.setattr(transfer, "RETRIES", replace(transfer.RETRIES, pause_s=0.001))
    for variable in ("GITHUB_HOST", "GITHUB_REPOSITORY", "GITHUB_RELEASE"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "models"
    monkeypatch.setenv("MODEL_PATH", str(folder))
    return folder


@pytest.fixture
def write_checkpoint() -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in CHECKPOINT.items():
            (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture
def config_json() -> str:
    """The config of a three-stem model that no shipped one equals."""
    shipped = load_config("2stems").to_json()
    return shipped.replace('"accompaniment"', '"drums",\n    "rest"').replace(
        '"model_dir": "2stems"', '"model_dir": "mine"'
    )
