"""The songs of any multitrack set: ``<root>/<song>/<instrument>.<ext>``."""

import os
from pathlib import Path

from sepcore.dataset.ingest.recording import Recording, SourceSong, Split, recording_name
from sepcore.errors import DatasetError
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES
from sepcore.system.printable import printable

_SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "test": "test",
}


def list_folder_songs(root: Path) -> list[SourceSong]:
    """Find the songs of a folder of folders, by name; no file is opened.

    A song is a folder with audio files: its recordings are named as the files without their suffix, in any case. Hidden
    files and those that do not have a suffix of audio (notes, pictures, MIDI, projects) are passed over.

    Args:
        root: Folder of the songs. Folders ``train``, ``validation`` (or ``valid``) and ``test`` in it, with songs in
            them, give the set a split of its own.

    Raises:
        DatasetError: no such folder, no song in it, or one that looks like MUSDB18's.
    """
    if not root.is_dir():
        raise DatasetError("no such folder", path=root, hint="Give the folder that holds the songs' folders.")
    songs = []
    for name in _folders(root):
        folder = root / name
        recordings, split = _recordings(folder), _SPLIT_FOLDERS.get(name.lower())
        if split is not None and any(recording.is_stem_of_mp4 for _, recording in recordings):
            hint = "Give it as --musdb-root."
            raise DatasetError("holds .stem.mp4 files, as MUSDB18 does", path=root, hint=hint)
        if split is None or recordings:
            songs.append(SourceSong(printable(name), "", None, recordings))
        else:
            songs += [SourceSong(printable(song), name, split, _recordings(folder / song)) for song in _folders(folder)]
    songs = [song for song in songs if song.recordings]
    if not songs:
        raise DatasetError(
            "no songs found",
            path=root,
            hint="Expected audio files <song>/<instrument>.wav (or .flac, .mp3, …) in it, or in its folders train, "
            "validation and test.",
        )
    return songs


def _folders(parent: Path) -> list[str]:
    with os.scandir(parent) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _recordings(folder: Path) -> tuple[tuple[str, Recording], ...]:
    with os.scandir(folder) as entries:
        files = sorted(entry.name for entry in entries if entry.is_file() and not entry.name.startswith("."))
    audio = [folder.absolute() / file for file in files if Path(file).suffix.lower() in AUDIO_SUFFIXES]
    return tuple((recording_name(path.stem), Recording(path)) for path in audio)
