"""Active runs per process, in a file whose lock the process holds: a file that nobody holds is a dead process's.

Nothing here imports Prefect, which takes seconds.
"""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from filelock import FileLock, Timeout

OWN_PREFECT_API = "STEMWORKS_PREFECT_API"
"""The environment's variable with the address of the server that a command or `flows.serve` started."""


@dataclass(frozen=True)
class Note:
    """A run that a process works on, by its id in a Prefect API or an MLflow store."""

    kind: Literal["prefect", "mlflow"]
    where: str
    run: str


class ProcessNotes:
    """The notes of this machine's processes, in a folder that is made with the first note."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: tuple[int, Path, FileLock] | None = None

    def add(self, note: Note) -> None:
        """Note a run of this process, whose lock ends with the process, however that ends."""
        self._write(note, over=False)

    def remove(self, note: Note) -> None:
        """Note that a run of this process has ended and needs no more attention."""
        self._write(note, over=True)

    def settle_dead(self, settle: Callable[[set[Note]], set[Note]]) -> None:
        """Give ``settle`` the runs of dead processes, except those that another process has resumed.

        It returns those that are settled; the others are kept for a later call.
        """
        for file in self._files():
            with _held(file) as dead:
                if not dead or not file.is_file():
                    continue  # its process is alive, or another is settling it or has just done so
                notes = _read(file) - self._living(but=file)
                if kept := notes - (settle(notes) if notes else set()):
                    file.write_text("".join(_line(note, over=False) for note in kept), "utf-8")
                    continue
                file.unlink()
            _lock(file).unlink(missing_ok=True)

    def _write(self, note: Note, *, over: bool) -> None:
        if self._own is None or self._own[0] != os.getpid():  # a forked child has none of its parent's runs
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}.jsonl"
            lock = FileLock(_lock(path), thread_local=False)
            lock.acquire()
            self._own = os.getpid(), path, lock
        with self._own[1].open("a", encoding="utf-8") as file:
            file.write(_line(note, over=over))

    def _living(self, *, but: Path) -> set[Note]:
        """The runs of all processes that are alive."""
        living: set[Note] = set()
        for file in self._files():
            if file != but:
                with _held(file) as dead:
                    living |= set() if dead or not file.is_file() else _read(file)
        return living

    def _files(self) -> list[Path]:
        # The folder may be shared by machines, and only this one's processes hold locks that can be seen here. By the
        # whole name: "host-gpu" is another machine than "host".
        mine = re.compile(rf"{re.escape(socket.gethostname())}-\d+-[0-9a-f]{{8}}\.jsonl")
        return sorted(file for file in self._folder.glob("*.jsonl") if mine.fullmatch(file.name))


def _lock(file: Path) -> Path:
    return file.with_suffix(".lock")


@contextmanager
def _held(file: Path) -> Iterator[bool]:
    """Hold a file's lock; False if somebody else holds it."""
    try:
        with FileLock(_lock(file), timeout=0):
            yield True
    except Timeout:
        yield False


def _read(file: Path) -> set[Note]:
    notes: set[Note] = set()
    for line in file.read_text("utf-8").splitlines():
        if line.endswith("}"):  # the last line of a process that was killed may be half of one
            content = json.loads(line)
            (notes.discard if content.pop("over") else notes.add)(Note(**content))
    return notes


def _line(note: Note, *, over: bool) -> str:
    return json.dumps(asdict(note) | {"over": over}) + "\n"


def is_own_prefect_api() -> bool:
    """Whether ``PREFECT_API_URL`` is that of a server that was started here.

    All of them use the database that Prefect's settings name, whatever their port, so the next one still knows the runs
    of one that has ended.
    """
    url = os.environ.get("PREFECT_API_URL")
    return bool(url) and url == os.environ.get(OWN_PREFECT_API)
