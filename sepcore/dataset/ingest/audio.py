"""One song to audio files at a config's rate and channels."""

from collections.abc import Sequence
from pathlib import Path

import soundfile

from sepcore.atomic import remove_leftovers
from sepcore.config import ModelConfig
from sepcore.dataset.ingest.recording import Recording, SourceSong
from sepcore.dataset.ingest.song_folder import entry, is_text, origin, read_record, song_folder, write_record
from sepcore.dataset.ingest.sums import RecordingSum, write_sums
from sepcore.dataset.ingest.targets import MIXTURE, LeftOut, refusal, song_parts
from sepcore.dataset.manifest import TrackRow
from sepcore.signal.sndfile import probe_sndfile

_SUFFIXES = {".aif", ".aiff", ".flac", ".w64", ".wav"}


def bring_song(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow:
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
        DatasetError: the song lacks an instrument, see `song_parts`.
        AudioDecodeError: a recording that cannot be decoded; nothing is written then.
        AudioEncodeError: a file that cannot be written, as on a full disk.
    """
    found = song_parts(song, config)
    if isinstance(found, LeftOut):
        raise refusal([found])
    folder = song_folder(out, song)
    files = {name: _usable_in_place(recordings, config) for name, recordings in found.parts.items()}
    stored = {name: folder / f"{name}.wav" for name, file in files.items() if file is None}
    origins = {name: origin(found.parts[name], config) for name in stored}
    record = read_record(folder)
    outdated = {
        name: file
        for name, file in stored.items()
        if file.name not in record or record[file.name] != entry(file, origins[name])
    }
    if outdated:
        remove_leftovers(folder)
        kept = {name: state for name, state in record.items() if name not in {file.name for file in outdated.values()}}
        if kept != record:
            # Taken out first: if this is killed, no new file stands beside the entry of the old one.
            write_record(folder, kept)
        sums = [RecordingSum(file, found.parts[name]) for name, file in outdated.items()]
        write_sums(sums, sample_rate=config.sample_rate, num_channels=config.num_channels)
        made = {file.name: entry(file, origins[name]) for name, file in outdated.items()}
        write_record(folder, kept | made)
    where = {name: file or stored[name] for name, file in files.items()}
    stems = tuple((instrument, where[instrument]) for instrument in config.instruments)
    return TrackRow(song.name, where[MIXTURE], stems, soundfile.info(where[MIXTURE]).duration)


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
