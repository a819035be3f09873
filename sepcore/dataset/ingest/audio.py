"""One song to audio files at a config's rate and channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.recording import Recording, SourceSong
from sepcore.dataset.ingest.song_folder import (
    Record,
    entry,
    is_text,
    origin,
    read_record,
    song_folder,
    write_record,
)
from sepcore.dataset.ingest.sums import RecordingSum, write_sums
from sepcore.dataset.ingest.targets import MIXTURE, LeftOut, refusal, song_parts
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioDecodeError, DatasetError
from sepcore.signal.sndfile import probe_sndfile
from sepcore.system.atomic import remove_leftovers

_SUFFIXES = {".aif", ".aiff", ".flac", ".w64", ".wav"}


def prepare_song(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow:
    """Bring a song to audio files at a config's rate and channels; a file that is there already is not made again.

    A lossless file (wav, flac, aiff) that has the rate and the channels, and is all of an instrument, is used where it
    lies. Everything else is decoded, and resampled once, to ``<out>/audio/<subset>/<song>/<instrument>.wav``, see
    `write_sums`. Beside these files ``made_from.json`` records the recordings (name, stream, size, time of change), the
    rate and the channels of each: only files for which these have changed are made again. How songs are split, and
    which other instruments are asked for, makes no difference.

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
            # Taken out first: if this is killed, no new file stands beside the entry of the old one.
            write_record(files.folder, kept)
        sums = [RecordingSum(file, files.made_from[file]) for file in outdated]
        write_sums(sums, sample_rate=config.sample_rate, num_channels=config.num_channels)
        made = {file.name: entry(file, files.origins[file]) for file in outdated}
        write_record(files.folder, kept | made)
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
            if file.name not in self.record or self.record[file.name] != entry(file, made_from)
        ]

    def row(self, song: SourceSong, config: ModelConfig) -> TrackRow:
        """The row of the song, once all files are there."""
        stems = tuple((instrument, self.where[instrument]) for instrument in config.instruments)
        return TrackRow(song.name, self.where[MIXTURE], stems, soundfile.info(self.where[MIXTURE]).duration)


def _files(song: SourceSong, out: Path, config: ModelConfig) -> _Files:
    found = song_parts(song, config)
    if isinstance(found, LeftOut):
        raise refusal([found])
    folder = song_folder(out, song)
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
        {file: origin(parts, config) for file, parts in made_from.items()},
        read_record(folder),
    )


def _usable_in_place(recordings: Sequence[Recording], config: ModelConfig) -> Path | None:
    """The file that is all that is asked for, None if one has to be made."""
    path = recordings[0].path
    # A manifest is text in UTF-8, a row a line: it cannot name every file.
    if len(recordings) > 1 or path.suffix.lower() not in _SUFFIXES or not all(map(is_text, str(path))):
        return None
    # Lossless, and sound: others are decoded by ffmpeg, which says what is wrong with them.
    info = probe_sndfile(path)
    fits = info is not None and (info.sample_rate, info.num_channels) == (config.sample_rate, config.num_channels)
    return path if fits else None
