"""A folder with a small dataset and its config, in which a fault meets the real commands."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import pytest

Case = TypeVar("Case")

NUM_KILLS = int(os.environ.get("STEMWORKS_KILLS", "2"))
"""How often the campaign kills: twice in ``make test``, so that it cannot rot; more in ``make faults``."""
LONG = pytest.mark.skipif(NUM_KILLS <= 2, reason="long: run by make faults")
"""Mark of tests that ``make test`` leaves out, since shorter ones there show their parts."""
# Longer than anything here takes, so that a command that hangs is a failure and not a silence.
PATIENCE_S = 300.0
# How many of how many, and the time gone.
_BAR = re.compile(r"\d+/\d+ \d+:\d\d:\d\d")


def thoroughly(*cases: Case) -> tuple[Case, ...]:
    """All cases in ``make faults``, the first one in ``make test``."""
    return cases if NUM_KILLS > 2 else cases[:1]


def songs_of_shards(names: Iterable[str]) -> set[str]:
    """A shard and the JSON file beside it have one name; the indexes belong to no song."""
    return {path.stem for path in map(Path, names) if path.parent.name != "indexes"} - {"index"}


def songs_of_audio(names: Iterable[str]) -> set[str]:
    """A folder a song; the manifests lie above them."""
    return {Path(name).parent.name for name in names} - {"ingested"}


@dataclass(frozen=True)
class Job:
    """A command, and what it makes.

    Attributes:
        arguments: What follows ``python -m``.
        products: Folders of what it makes, relative to the one it runs in.
        songs_of: Which songs products belong to, given by their names.
    """

    arguments: tuple[str, ...]
    products: tuple[str, ...] = ()
    songs_of: Callable[[Iterable[str]], set[str]] = songs_of_shards


CACHE = Job(("flows.cache", "-p", "config.json"), ("training_cache", "validation_cache"))
PARQUET_CACHE = replace(CACHE, arguments=("flows.cache", "-p", "parquet.json"))
WAVEFORM_CACHE = replace(CACHE, arguments=("flows.cache", "-p", "waveform.json"))
INGEST = Job(
    ("flows.ingest", "--stems-root", "recordings", "--out", "ingested", "-p", "config.json"),
    ("ingested",),
    songs_of_audio,
)


@dataclass
class Workplace:
    """Where the commands run, and the processes that were started there.

    Attributes:
        folder: Holds the configs, the CSVs, the songs, and what the commands make of them.
        environment: Of the commands.
    """

    folder: Path
    environment: dict[str, str]
    _started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, job: Job, *more: str) -> "subprocess.Popen[str]":
        """Start a job, ``more`` being further arguments, in a process group of its own."""
        return self._start("-m", *job.arguments, *more)

    def run_python(self, code: str) -> "subprocess.CompletedProcess[str]":
        """Run Python code to its end."""
        return ended(self._start("-c", code))

    def _start(self, *arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, job: Job, *more: str) -> "subprocess.CompletedProcess[str]":
        """The same, to its end."""
        return ended(self.start(job, *more))

    def finish(self, job: Job) -> None:
        """Run a job to its end, which must be a good one."""
        result = self.run(job)
        assert result.returncode == 0, result.stderr

    def stop_all(self) -> None:
        """End what a failed test has left running."""
        for process in self._started:
            kill_group(process)
            for stream in (process.stdout, process.stderr):
                stream.close()

    def files(self, job: Job) -> dict[str, Path]:
        """What a job has made, by name; leftovers and locks not."""
        found = [path for product in job.products for path in (self.folder / product).rglob("[!.]*") if path.is_file()]
        return {str(path.relative_to(self.folder)): path for path in sorted(found)}

    def checked(self) -> set[tuple[str, int]]:
        """The songs in the journals of checks that go on or were killed: a journal's name and a line's number."""
        found = set()
        for journal in self.folder.glob(".*.jsonl"):
            with contextlib.suppress(FileNotFoundError):
                found |= {(journal.name, line) for line in range(journal.read_bytes().count(b"\n"))}
        return found

    def identities(self, job: Job) -> dict[str, tuple[int, int]]:
        """Of each file what tells whether it was written anew."""
        found = {}
        for name, path in self.files(job).items():
            # Another process may take a file away between the listing and the look.
            with contextlib.suppress(FileNotFoundError):
                found[name] = (path.stat().st_ino, path.stat().st_mtime_ns)
        return found

    def contents(self, job: Job) -> dict[str, bytes]:
        """Every byte that a job has made."""
        return {name: path.read_bytes() for name, path in self.files(job).items()}

    def leftovers(self) -> list[str]:
        """What a process that did not end well has left anywhere in the folder."""
        return [str(path.relative_to(self.folder)) for path in sorted(self.folder.rglob(".tmp*"))]


def ended(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    """Wait for a process and take what it said."""
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def kill_group(process: "subprocess.Popen[str]") -> None:
    """kill -9 of a process and of all that it started, whether it runs still or not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def suspend(process: "subprocess.Popen[str]") -> None:
    """Let nothing of a process group go on."""
    os.killpg(process.pid, signal.SIGSTOP)


def resume(process: "subprocess.Popen[str]") -> None:
    """Let a suspended process group go on."""
    os.killpg(process.pid, signal.SIGCONT)


def wait_until(happened: Callable[[], bool], process: "subprocess.Popen[str] | None" = None) -> None:
    """Look every few milliseconds until something has happened; the process that does it must not end before."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert process is None or process.poll() is None or happened(), ended(process).stderr
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def said(stderr: str) -> Sequence[str]:
    """The lines of stderr that are no progress bars."""
    return [line for line in stderr.splitlines() if line.strip() and "━" not in line and not _BAR.search(line)]
