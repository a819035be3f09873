"""Convert a song to audio files at a config's rate and channels, and record what each was made from."""

import json
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
from sepcore.signal.decoder import probe_sndfile
from sepcore.system.atomic import remove_leftovers, write_text
from sepcore.system.file_names import is_text, safe_name
from sepcore.system.os_errors import fix_for, reason_of

_SUFFIXES = {".aif", ".aiff", ".flac", ".w64", ".wav"}
_RECORD_FILE = "made_from.json"

Record = dict[str, Any]
"""What the files of a song's folder were made from, by file name."""


def prepare_song(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow:
    """Convert a song to audio files with a config's rate and channels; files that are up to date are kept.

    A lossless file (wav, flac, aiff) that has this rate and channels, and is all of an instrument, is used in place.
    Everything else is decoded, and resampled once, to ``<out>/audio/<subset>/<song>/<instrument>.wav``, see
    `write_sums`. ``made_from.json`` beside these files records the recordings of each (name, stream, size, time of
    change), the rate and the channels: files are made again only if these change, not if the split or the other
    instruments do.

    Raises:
        DatasetError: the song lacks an instrument, see `song_parts`; or a file would replace one of its recordings.
        AudioDecodeError: a recording cannot be decoded; nothing is written.
        AudioEncodeError: a file cannot be written, as on a full disk.
    """
    files = _files(song, out, config)
    if files.outdated:
        remove_leftovers(files.folder)
        record = _read_record(files.folder)
        kept = {name: state for name, state in record.items() if files.folder / name not in files.outdated}
        if kept != record:
            # Removed first: if this is killed, no new file is left with the entry of the old one.
            _write_record(files.folder, kept)
        sums = [RecordingSum(file, files.made_from[file]) for file in files.outdated]
        write_sums(sums, sample_rate=config.sample_rate, num_channels=config.num_channels)
        made = {file.name: _entry(file, origin) for file, origin in files.outdated.items()}
        _write_record(files.folder, kept | made)
    return files.row(song, config)


def finished_row(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow | None:
    """The row of a song if all its audio exists; None if `prepare_song` would write some, or fail."""
    try:
        files = _files(song, out, config)
        return None if files.outdated else files.row(song, config)
    except (AudioDecodeError, DatasetError):
        return None


@dataclass(frozen=True)
class _Files:
    """The audio files of a song."""

    folder: Path  # the folder of the files that are made
    where: Mapping[str, Path]  # the file of the mixture and of each instrument, in place or made
    made_from: Mapping[Path, tuple[Recording, ...]]  # the recordings of each file that is made
    outdated: Mapping[Path, Record]  # the files to be made, or made again, and what their content depends on

    def row(self, song: SourceSong, config: ModelConfig) -> TrackRow:
        """The row of the song, once all files exist."""
        stems = tuple((instrument, self.where[instrument]) for instrument in config.instruments)
        return TrackRow(song.name, self.where[MIXTURE], stems, soundfile.info(self.where[MIXTURE]).duration)


def _files(song: SourceSong, out: Path, config: ModelConfig) -> _Files:
    found = song_parts(song, config)
    if isinstance(found, LeftOut):
        raise refusal([found])
    # It depends on the dataset's folders, not on the song's split.
    folder = out / "audio" / song.subset / safe_name(song.name)
    where, made_from = {}, {}
    for name, recordings in found.parts.items():
        in_place = _usable_in_place(recordings, config)
        where[name] = in_place or folder / f"{name}.wav"
        if in_place is None:
            made_from[where[name]] = recordings
    of_song = {recording.path.resolve() for _, recording in song.recordings}
    for file in made_from:
        if file.resolve() in of_song:
            hint = "Choose another --out."
            raise DatasetError("is a recording of the set and would be replaced", path=file, hint=hint)
    form = {"sample_rate": config.sample_rate, "num_channels": config.num_channels}
    origins = {file: {**form, "recordings": list(map(_state, parts))} for file, parts in made_from.items()}
    record = _read_record(folder)
    outdated = {
        file: origin
        for file, origin in origins.items()
        if not file.is_file() or record.get(file.name) != _entry(file, origin)
    }
    return _Files(folder, where, made_from, outdated)


def _usable_in_place(recordings: Sequence[Recording], config: ModelConfig) -> Path | None:
    path = recordings[0].path
    # A manifest is UTF-8 with a row on each line, so it cannot name every file.
    if len(recordings) > 1 or path.suffix.lower() not in _SUFFIXES or not all(map(is_text, str(path))):
        return None
    # Only intact files; ffmpeg decodes the others, and reports what is wrong with them.
    info = probe_sndfile(path)
    fits = info is not None and (info.sample_rate, info.num_channels) == (config.sample_rate, config.num_channels)
    return path if fits else None


def _read_record(folder: Path) -> Record:
    try:
        record = json.loads((folder / _RECORD_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write_record(folder: Path, record: Record) -> None:
    write_text(folder / _RECORD_FILE, json.dumps(record, indent=2) + "\n")


def _entry(file: Path, origin: Record) -> Record:
    return {"bytes": file.stat().st_size, "made_from": origin}


def _state(recording: Recording) -> list[object]:
    try:
        state = recording.path.stat()
    except OSError as error:
        problem = f"cannot be read ({reason_of(error)})"
        hint = f"{fix_for(error, reading=True)} and run the command again."
        raise AudioDecodeError(problem, path=recording.path, hint=hint, errno=error.errno) from error
    return [recording.path.name, recording.stream, state.st_size, state.st_mtime_ns]
