"""A song of a batch: its file, where its stems go, and what became of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sepcore.errors import AudioDecodeError, StemworksError
from sepcore.system.os_errors import NOT_PERMITTED, reason_of
from sepcore.system.printable import printable

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Song:
    """One song of a batch: its file and the files of its stems; small, so that it can be sent to another process."""

    path: Path
    out: Path
    """The output folder of the batch."""
    stems: tuple[tuple[str, Path], ...]
    """Each stem's name and file, relative to ``out``."""
    slot: str
    """The stems' files relative to ``out`` without the stems' names: the same for this song with any model, and
    different for every other song."""
    name: str = ""
    """For lists: its place below the folder it was found in, without suffix."""
    page: Path | None = None
    """The page to listen to it, relative to ``out``, if one is wanted."""

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
        """The folders of the stems, mostly one."""
        return tuple(dict.fromkeys(file.parent for file in self.stem_files.values()))

    def absolute(self) -> "Song":
        """The same song for a process that has another working directory."""
        return replace(self, path=self.path.absolute(), out=self.out.absolute())


@dataclass(frozen=True)
class Outcome:
    """What became of one song."""

    song: Path
    status: Status
    """``done``: separated; ``skipped``: its stems existed already; ``failed``: it has no stems."""
    reason: str = ""
    """Why it failed."""
    audio_s: float = 0.0
    """Of each stem."""
    elapsed_s: float = 0.0
    """How long the separation took; for a skipped song, in the run that did it."""
    finished_at: float = 0.0
    """When the separation ended, in seconds since 1970."""
    may_pass: bool = False
    """Whether another try with the same file may succeed, e.g. on a shared disk."""

    @property
    def shown_song(self) -> str:
        """The song's file, for people."""
        return printable(self.song)

    @property
    def why(self) -> str:
        """The reason without the song's file."""
        return self.reason.removeprefix(f"{self.shown_song}: ")


def failed(song: Path, error: StemworksError | OSError) -> Outcome:
    """The outcome of a song without stems; the reason is one printable line that begins with its file."""
    may_pass = isinstance(error, OSError) and error.errno not in NOT_PERMITTED
    if isinstance(error, OSError):
        error = AudioDecodeError(f"cannot be read: {reason_of(error)}", path=song, errno=error.errno)
    line = str(error) if error.path == song else f"{song}: {error}"
    return Outcome(song, "failed", printable(line), may_pass=may_pass)


@dataclass(frozen=True)
class Totals:
    """A batch in figures: how many songs had each status, and the work of this run."""

    done: int
    skipped: int
    failed: int
    audio_s: float
    """Of the separated songs."""
    busy_s: float
    """How long at least one song was being separated; start-up does not count."""

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> "Totals":
        """Add up what became of the songs."""
        outcomes = list(outcomes)
        num = Counter(outcome.status for outcome in outcomes)
        done = [outcome for outcome in outcomes if outcome.status == "done"]
        busy_s, until = 0.0, float("-inf")
        for start, end in sorted((outcome.finished_at - outcome.elapsed_s, outcome.finished_at) for outcome in done):
            busy_s += max(0.0, end - max(start, until))
            until = max(until, end)
        audio_s = sum(outcome.audio_s for outcome in done)
        return cls(num["done"], num["skipped"], num["failed"], audio_s, busy_s)
