"""Songs of a watched folder that could not be separated: tried again when they have changed, not every round."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sepcore.batch.outcome import Outcome
from sepcore.batch.records import RECORDS, deciding_options, record_path
from sepcore.batch.song import Song
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.separation.stem_files.song import file_times
from sepcore.system.atomic import write_text

_SUFFIX = ".failed"


@dataclass(frozen=True)
class FailedTry:
    """What was tried, and in vain; beside the records, so that every process that watches the folder knows of it.

    Attributes:
        song_size: Of the song's file, in bytes.
        song_mtime_ns: When it was changed last.
        separator: `Separator.fingerprint` of the model and its settings.
        options: What else decided the stems, where it was not as by default.
    """

    song_size: int
    song_mtime_ns: int
    separator: str
    options: dict[str, Any]

    @classmethod
    def at(cls, song: Song, separator: str, options: StemFileOptions) -> "FailedTry | None":
        """What a try would be now; None of a song that has just been moved away."""
        try:
            return cls(*file_times(song.path), separator, deciding_options(options))
        except OSError:
            return None

    def remember(self, song: Song, reason: str) -> None:
        """Note that it failed; OSError if the output folder takes no more."""
        write_text(_path(song), json.dumps(asdict(self) | {"reason": reason}, indent=1) + "\n")

    def failed_before(self, song: Song) -> Outcome | None:
        """What became of the same try in an earlier round; None if there was none."""
        try:
            content = json.loads(_path(song).read_bytes())
            reason = str(content.pop("reason"))
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None
        return Outcome(song.path, "failed", reason) if content == asdict(self) else None


def forget_failed_try(song: Song) -> None:
    """A song was separated after all."""
    _path(song).unlink(missing_ok=True)


def forget_failed_tries(out: Path) -> None:
    """Let every song of an output folder be tried once more: what was wrong may have been fixed elsewhere."""
    for path in (out / RECORDS).glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def _path(song: Song) -> Path:
    return record_path(song).with_suffix(_SUFFIX)
