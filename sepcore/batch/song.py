"""A song of a batch: its file, where its stems go, and what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sepcore.errors import AudioDecodeError, StemworksError
from sepcore.system.os_errors import NOT_PERMITTED, reason_of
from sepcore.system.printable import printable


@dataclass(frozen=True)
class Song:
    """One song of a batch: its file and the files of its stems; small, so that it can be sent to another process.

    Attributes:
        path: The song's file.
        out: The output folder of the batch.
        stems: Each stem's name and file, relative to ``out``.
        slot: The stems' files relative to ``out`` with no stem's name in them: what is written for this song with any
            model has this slot, and nothing else has.
        name: By which a list names it: its place below the folder it was found in, without suffix.
        page: The page to listen to it, relative to ``out``, if one is wanted.
    """

    path: Path
    out: Path
    stems: tuple[tuple[str, Path], ...]
    slot: str
    name: str = ""
    page: Path | None = None

    @property
    def shown_name(self) -> str:
        """The name of the song's file, for people and services."""
        return printable(self.path.name)

    @property
    def stem_files(self) -> dict[str, Path]:
        """The file of each stem."""
        return {stem: self.out / file for stem, file in self.stems}

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the stems are, mostly one folder."""
        return tuple(dict.fromkeys(file.parent for file in self.stem_files.values()))

    def absolute(self) -> "Song":
        """The same song for a process that has another working directory."""
        return replace(self, path=self.path.absolute(), out=self.out.absolute())


Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of one song.

    Attributes:
        song: The song's file.
        status: ``done``: separated; ``skipped``: its stems were there already; ``failed``: they are not there.
        reason: Why not; empty unless failed.
        audio_s: Seconds of audio in each stem.
        elapsed_s: Seconds that the separation took; of a skipped song, in the run that did it.
        finished_at: When that was over, in seconds since 1970.
        may_pass: Whether another try may do better with the same file: a shared disk hiccups.
    """

    song: Path
    status: Status
    reason: str = ""
    audio_s: float = 0.0
    elapsed_s: float = 0.0
    finished_at: float = 0.0
    may_pass: bool = False

    @property
    def shown_song(self) -> str:
        """The song's file, for people."""
        return printable(self.song)

    @property
    def why(self) -> str:
        """The reason without the song's file."""
        return self.reason.removeprefix(f"{self.shown_song}: ")


def failed(song: Path, error: StemworksError | OSError) -> Outcome:
    """The outcome of a song without stems; the reason begins with its file, and is one line that can be printed."""
    may_pass = isinstance(error, OSError) and error.errno not in NOT_PERMITTED
    if isinstance(error, OSError):
        error = AudioDecodeError(f"cannot be read: {reason_of(error)}", path=song, errno=error.errno)
    line = str(error) if error.path == song else f"{song}: {error}"
    return Outcome(song, "failed", printable(line), may_pass=may_pass)


@dataclass(frozen=True)
class Totals:
    """A batch in figures.

    Attributes:
        done: Songs separated in this run.
        skipped: Songs that were done already.
        failed: Songs without stems.
        audio_s: Seconds of audio separated in this run.
        busy_s: Seconds in which at least one song was being separated: without start-up, and whatever ran at once.
    """

    done: int
    skipped: int
    failed: int
    audio_s: float
    busy_s: float

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Totals":
        """Add up what became of the songs."""
        by_status: dict[Status, list[Outcome]] = {"done": [], "skipped": [], "failed": []}
        for outcome in outcomes:
            by_status[outcome.status].append(outcome)
        done = by_status["done"]
        return cls(
            done=len(done),
            skipped=len(by_status["skipped"]),
            failed=len(by_status["failed"]),
            audio_s=sum(outcome.audio_s for outcome in done),
            busy_s=_union_s((outcome.finished_at - outcome.elapsed_s, outcome.finished_at) for outcome in done),
        )


def _union_s(spans: Iterable[tuple[float, float]]) -> float:
    """How long it was that at least one of some spans of time lasted."""
    total, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, until))
        until = max(until, end)
    return total
