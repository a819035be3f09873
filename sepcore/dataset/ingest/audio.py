"""One song to audio files at a config's rate and channels, in a folder that records what each was made from."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.songs import Recording, SourceSong
from sepcore.dataset.ingest.sums import RecordingSum, write_sums
from sepcore.dataset.ingest.targets import MIXTURE, LeftOut, refusal, song_parts
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioDecodeError, DatasetError
from sepcore.signal.sndfile import probe_sndfile
from sepcore.system.atomic import remove_leftovers, write_text
from sepcore.system.os_errors import fix_for, reason_of

_SUFFIXES = {".aif", ".aiff", ".flac", ".w64", ".wav"}
_RECORD_FILE = "made_from.json"
_LONGEST_NAME = 255  # bytes, of most file systems

Record = dict[str, Any]
"""What the files of a song's folder were made from, by file name."""


def prepare_song(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow:
    """Convert a song to audio files at a config's rate and channels; existing files are kept.

    A lossless file (wav, flac, aiff) that has the rate and the channels, and is all of an instrument, is used where it
    lies. Everything else is decoded, and resampled once, to ``<out>/audio/<subset>/<song>/<instrument>.wav``, see
    `write_sums`. Beside these files ``made_from.json`` records the recordings (name, stream, size, time of change), the
    rate and the channels of each: only files for which these have changed are made again. How songs are split, and
    which other instruments are wanted, makes no difference.

    Args:
        song: As it was found.
        out: Folder of the decoded audio.
        config: Its instruments, rate and channels are asked for.

    Raises:
        DatasetError: the song lacks an instrument, see `song_parts`; or a file would replace one of its recordings.
        AudioDecodeError: a recording that cannot be decoded; nothing is written then.
        AudioEncodeError: a file that cannot be written, as on a full disk.
    """
    files = _files(song, out, config)
    outdated = files.outdated()
    if outdated:
        remove_leftovers(files.folder)
        kept = {name: state for name, state in files.record.items() if name not in {file.name for file in outdated}}
        if kept != files.record:
            # Removed first: if this is killed, no new file is left with the entry of the old one.
            _write_record(files.folder, kept)
        sums = [RecordingSum(file, files.made_from[file]) for file in outdated]
        write_sums(sums, sample_rate=config.sample_rate, num_channels=config.num_channels)
        made = {file.name: _entry(file, files.origins[file]) for file in outdated}
        _write_record(files.folder, kept | made)
    return files.row(song, config)


def finished_row(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow | None:
    """The row of a song all of whose audio is there already; None if `prepare_song` would make some, or fail."""
    try:
        files = _files(song, out, config)
        return None if files.outdated() else files.row(song, config)
    except (AudioDecodeError, DatasetError):
        return None


@dataclass(frozen=True)
class _Files:
    """The audio files of a song.

    Attributes:
        folder: Where those lie that are made.
        where: The file of the mixture and of each instrument, in place or made.
        made_from: Of each file that is made, its recordings.
        origins: Of each file that is made, what its content depends on.
        record: What the files in the folder were made from.
    """

    folder: Path
    where: Mapping[str, Path]
    made_from: Mapping[Path, tuple[Recording, ...]]
    origins: Mapping[Path, Record]
    record: Record

    def outdated(self) -> list[Path]:
        """The files that have to be made, or made again."""
        return [
            file
            for file, made_from in self.origins.items()
            if file.name not in self.record or self.record[file.name] != _entry(file, made_from)
        ]

    def row(self, song: SourceSong, config: ModelConfig) -> TrackRow:
        """The row of the song, once all files are there."""
        stems = tuple((instrument, self.where[instrument]) for instrument in config.instruments)
        return TrackRow(song.name, self.where[MIXTURE], stems, soundfile.info(self.where[MIXTURE]).duration)


def _files(song: SourceSong, out: Path, config: ModelConfig) -> _Files:
    found = song_parts(song, config)
    if isinstance(found, LeftOut):
        raise refusal([found])
    folder = _song_folder(out, song)
    in_place = {name: _usable_in_place(parts, config) for name, parts in found.parts.items()}
    made_from = {folder / f"{name}.wav": found.parts[name] for name, file in in_place.items() if file is None}
    recordings = {recording.path.resolve() for _, recording in song.recordings}
    for file in made_from:
        if file.resolve() in recordings:
            hint = "Choose another --out."
            raise DatasetError("is a recording of the set and would be replaced", path=file, hint=hint)
    return _Files(
        folder,
        {name: file or folder / f"{name}.wav" for name, file in in_place.items()},
        made_from,
        {file: _origin(parts, config) for file, parts in made_from.items()},
        _read_record(folder),
    )


def _usable_in_place(recordings: Sequence[Recording], config: ModelConfig) -> Path | None:
    """The recording that can be used as it is; None if a file has to be made."""
    path = recordings[0].path
    # A manifest is text in UTF-8, a row a line: it cannot name every file.
    if len(recordings) > 1 or path.suffix.lower() not in _SUFFIXES or not all(map(_is_text, str(path))):
        return None
    # Lossless and intact; others are decoded by ffmpeg, which reports what is wrong with them.
    info = probe_sndfile(path)
    fits = info is not None and (info.sample_rate, info.num_channels) == (config.sample_rate, config.num_channels)
    return path if fits else None


def _song_folder(out: Path, song: SourceSong) -> Path:
    """The folder of a song's decoded audio; it depends on the dataset's folders, not on the song's split."""
    return out / "audio" / song.subset / _safe_name(song.name)


def _origin(recordings: Sequence[Recording], config: ModelConfig) -> Record:
    """All that decides the content of a file made from ``recordings``; neither where they lie nor the other files.

    Raises:
        AudioDecodeError: a recording that cannot be looked at.
    """
    return {
        "sample_rate": config.sample_rate,
        "num_channels": config.num_channels,
        "recordings": [_state(recording) for recording in recordings],
    }


def _read_record(folder: Path) -> Record:
    """What `_write_record` wrote, by file name; empty if there is no record that can be read."""
    try:
        record = json.loads((folder / _RECORD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(folder: Path, record: Record) -> None:
    """Write what each file was made from, once the files exist."""
    write_text(folder / _RECORD_FILE, json.dumps(record, indent=2) + "\n")


def _entry(file: Path, made_from: Record) -> Record | None:
    """The record's entry of a file; None if the file does not exist."""
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
    """A folder name that is valid on any file system: the song's own, or a cleaned one that no other song gets."""
    cleaned = "".join(character if _is_text(character) and character not in "/\\" else "_" for character in name)
    cleaned = _shortened(cleaned.lstrip(".").rstrip(". "), _LONGEST_NAME)
    if cleaned == name:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{_shortened(cleaned, _LONGEST_NAME - len(digest) - 1)}-{digest}"


def _is_text(character: str) -> bool:
    """Whether a character is neither a control character, such as a line break, nor a byte that is not Unicode."""
    return unicodedata.category(character) not in ("Cc", "Cs")


def _shortened(name: str, num_bytes: int) -> str:
    return name.encode()[:num_bytes].decode(errors="ignore")
