"""The folder of a song's decoded audio, and the record in it of what each file was made from."""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.recording import Recording, SourceSong
from sepcore.errors import AudioDecodeError
from sepcore.system.atomic import write_text
from sepcore.system.os_errors import fix_for, reason_of

_RECORD_FILE = "made_from.json"
_LONGEST_NAME = 255  # bytes, of most file systems

Record = dict[str, Any]


def song_folder(out: Path, song: SourceSong) -> Path:
    """Where a song's decoded audio lies: it depends on the dataset's folders, not on the split it is used in."""
    return out / "audio" / song.subset / _safe_name(song.name)


def origin(recordings: Sequence[Recording], config: ModelConfig) -> Record:
    """All that decides the content of a file made from ``recordings``; neither where they lie nor the other files.

    Raises:
        AudioDecodeError: a recording that cannot be looked at.
    """
    return {
        "sample_rate": config.sample_rate,
        "num_channels": config.num_channels,
        "recordings": [_state(recording) for recording in recordings],
    }


def read_record(folder: Path) -> Record:
    """What `write_record` wrote, by file name; empty if there is no record that can be read."""
    try:
        record = json.loads((folder / _RECORD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def write_record(folder: Path, record: Record) -> None:
    """Write what each file was made from, once the files stand."""
    write_text(folder / _RECORD_FILE, json.dumps(record, indent=2) + "\n")


def entry(file: Path, made_from: Record) -> Record | None:
    """The record's entry of a file that stands, None of one that does not."""
    return {"bytes": file.stat().st_size, "made_from": made_from} if file.is_file() else None


def _state(recording: Recording) -> list[object]:
    try:
        state = recording.path.stat()
    except OSError as error:
        raise AudioDecodeError(
            f"cannot be read ({reason_of(error)})",
            path=recording.path,
            hint=f"{fix_for(error, reading=True)} and run the command again.",
            errno=error.errno,
        ) from error
    return [recording.path.name, recording.stream, state.st_size, state.st_mtime_ns]


def _safe_name(name: str) -> str:
    """A name that can be a folder's on any file system: itself, or a cleaned one that no other song gets."""
    cleaned = "".join(character if is_text(character) and character not in "/\\" else "_" for character in name)
    cleaned = _shortened(cleaned.lstrip(".").rstrip(". "), _LONGEST_NAME)
    if cleaned == name:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{_shortened(cleaned, _LONGEST_NAME - len(digest) - 1)}-{digest}"


def is_text(character: str) -> bool:
    """Whether a character is no control character, such as a line break, and no byte that is not Unicode."""
    return unicodedata.category(character) not in ("Cc", "Cs")


def _shortened(name: str, num_bytes: int) -> str:
    return name.encode()[:num_bytes].decode(errors="ignore")
