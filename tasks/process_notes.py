"""What each process is at, noted in a file that it holds locked: one that nobody holds is of a process that ended."""

import fcntl
import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Literal
from uuid import uuid4


@dataclass(frozen=True)
class Note:
    """A run that a process works on.

    Attributes:
        kind: Whose run it is.
        where: The Prefect API or the MLflow store that knows of it.
        run: Its id there.
    """

    kind: Literal["prefect", "mlflow"]
    where: str
    run: str


class ProcessNotes:
    """The notes of this machine's processes.

    Args:
        folder: Holds a file for each process; made with the first note.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: int | None = None  # a descriptor: open as long as the process lives
        self._pid = 0

    def add(self, note: Note) -> None:
        """Note what this process is at; its lock on the file ends with the process, however that ends."""
        if self._own is None or self._pid != os.getpid():  # a forked child has none of its parent's runs
            self._own, self._pid = self._new_file(), os.getpid()
        os.write(self._own, _line(note).encode())

    def settle_dead(self, settle: Callable[[set[Note]], set[Note]]) -> None:
        """Hand over what processes that have ended were at, but for what another has taken up since.

        Args:
            settle: Takes notes, and gives those that are done with; the others are kept for another time.
        """
        for file in self._files():
            with suppress(FileNotFoundError), file.open("r+") as content:
                if not _lock(content, fcntl.LOCK_EX) or not _stands(content.fileno()):
                    continue  # its process is alive, or another is at it or has just been
                notes = _read(content) - self._living(but=file)
                if kept := notes - (settle(notes) if notes else set()):
                    content.seek(0)
                    content.truncate()
                    content.writelines(_line(note) for note in kept)
                else:
                    file.unlink()

    def _living(self, *, but: Path) -> set[Note]:
        """What the processes that run are at."""
        living: set[Note] = set()
        for file in self._files():
            if file != but:
                with suppress(FileNotFoundError), file.open() as content:
                    living |= set() if _lock(content, fcntl.LOCK_SH) else _read(content)
        return living

    def _files(self) -> list[Path]:
        # The folder may be shared by machines, and only this one's processes hold locks that can be seen here.
        return sorted(self._folder.glob(f"{socket.gethostname()}-*"))

    def _new_file(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self._folder / f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            fcntl.flock(file, fcntl.LOCK_EX)
            if _stands(file):  # nobody has taken it for a dead one's before it was locked
                return file
            os.close(file)


def _lock(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stands(file: int) -> bool:
    return os.fstat(file).st_nlink > 0


def _read(file: IO[str]) -> set[Note]:
    # The last line of a process that was killed may be half of one.
    return {Note(**json.loads(line)) for line in file.read().splitlines() if line.endswith("}")}


def _line(note: Note) -> str:
    return json.dumps(asdict(note)) + "\n"
