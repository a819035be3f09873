"""Commands in forks of a process that has imported them, killed at any operation on files that one asks for.

What ``python -m tests.faults.forking`` reads is a job a line: arguments, folder, and before which of its operations on
files it shall die; what it answers is the fork's process id. `Forkserver` is the other end.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.repository import ROOT

COMMANDS = ("train", "cache", "publish", "models", "separate_batch", "evaluate", "ingest")
_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
_PATIENCE_S = 300.0
KILLED = 99
"""Exit code of a command that died on the way."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; `KILLED` if it was.
        said: What it printed.
        num_changes: Operations on files that it came to.
    """

    code: int
    said: str
    num_changes: int


class Running:
    """A command in a fork."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self._log = log

    def end(self) -> Ended:
        """Wait for it."""
        result = self._log.with_suffix(".code")
        deadline = time.monotonic() + _PATIENCE_S
        while not result.is_file():
            if time.monotonic() > deadline:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                raise AssertionError(f"it never ended: {self._log.read_text('utf-8', 'replace')}")
            time.sleep(0.005)
        counted = self._log.with_suffix(".changes")
        num_changes = counted.stat().st_size if counted.is_file() else 0
        return Ended(int(result.read_text()), self._log.read_text("utf-8", "replace"), num_changes)


class Forkserver:
    """A process that has imported all commands, and forks for each that is run.

    Args:
        folder: Where the commands' output is kept.
        environment: Of all commands.
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder, self._number = folder, 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forking"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def start(self, folder: Path, *arguments: str, die_before: int | None = None) -> Running:
        """Start ``python -m flows.<arguments>`` in a folder; it dies before the change of that number (from 1)."""
        self._number += 1
        log = self._folder / f"{self._number}.log"
        job = {"arguments": arguments, "folder": str(folder), "die_before": die_before, "log": str(log)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Running(int(self._process.stdout.readline()), log)

    def run(self, folder: Path, *arguments: str, die_before: int | None = None) -> Ended:
        """`start`, and wait for the end."""
        return self.start(folder, *arguments, die_before=die_before).end()

    def close(self) -> None:
        """End it and all its forks."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def _serve() -> None:
    for name in COMMANDS:
        main = next(part for part in ("command", "flow") if find_spec(f"flows.{name}.{part}"))
        importlib.import_module(f"flows.{name}.{main}")
    importlib.import_module("tests.models")  # registers the small network
    importlib.import_module("sepcore.training.trainer")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _supervise(job)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _supervise(job: dict[str, Any]) -> None:
    """Run a job in a fork of its own, so that how it ends can be told; never returns."""
    log = Path(job["log"])
    pid = os.fork()
    if pid == 0:
        _run(job, log)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = log.with_suffix(".code")
    code.with_suffix(".written").write_text(str(status))
    code.with_suffix(".written").rename(code)
    os._exit(0)


def _run(job: dict[str, Any], log: Path) -> None:
    """A command to its end, which is this process's; never returns."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.chdir(job["folder"])
    command, *arguments = job["arguments"]
    sys.argv = [f"flows.{command}", *arguments]
    counter = os.open(log.with_suffix(".changes"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    sys.addaudithook(_dying(Path(job["folder"]), counter, job["die_before"]))
    code: Any = 70
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # that the module has been imported
            runpy.run_module(f"flows.{command}", run_name="__main__", alter_sys=False)
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _dying(folder: Path, counter: int, die_before: int | None) -> Callable[[str, tuple[Any, ...]], None]:
    """A hook that counts the changes of files below a folder, and kills this process before one of them."""
    below, count = os.fsencode(folder) + b"/", 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event == "open":
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        elif event not in _CHANGES:
            return
        path = arguments[0]
        if isinstance(path, int):
            return
        path = os.fsencode(path)
        if not (path.startswith(below) or not path.startswith(b"/")):
            return
        count += 1
        if count == die_before:
            os._exit(KILLED)  # nothing is cleared up, as after kill -9
        os.write(counter, b".")

    return hook


if __name__ == "__main__":
    _serve()
