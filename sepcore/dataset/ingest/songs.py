"""The songs of a dataset, found in its folders: MUSDB's layouts, and a folder of folders."""

import os
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from sepcore.errors import DatasetError, FfmpegMissing
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES
from sepcore.system.printable import printable

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Recording:
    """An audio stream, counted from 0, of a file."""

    path: Path
    stream: int = 0

    @property
    def is_stem_of_mp4(self) -> bool:
        """Whether it is a stream of a ``.stem.mp4``, which musdb and museval read as 16-bit integers."""
        return self.path.name.lower().endswith(".stem.mp4")


@dataclass(frozen=True)
class SourceSong:
    """One song of a dataset.

    Attributes:
        name: Name of its folder, or of its ``.stem.mp4``, as `printable` text.
        subset: Name of its folder below the dataset's root; "" for the root itself.
        own_split: Split that the dataset itself gives it; None if it gives none.
        recordings: Name, as `recording_name` writes it, and recording: the stems, and the mixture if there is one.
        sums: What the dataset itself defines as a sum of stems: its name and theirs.
    """

    name: str
    subset: str
    own_split: Split | None
    recordings: tuple[tuple[str, Recording], ...]
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def artist(self) -> str:
        """The part of the name before " - "; a song without that is its own artist."""
        return self.name.partition(" - ")[0].strip()


def recording_name(text: str) -> str:
    """A recording's or an instrument's name for comparing: case and the way of writing accents make no difference."""
    return unicodedata.normalize("NFC", text).casefold()


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


_SETUP_FILE = "mus.yaml"
_STEMS_SUFFIX = ".stem.mp4"
_SUBSETS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class _Setup:
    """musdb's own description of a set.

    Attributes:
        streams: Stream of a ``.stem.mp4`` by recording, the mixture first.
        files: File in a song's folder by recording, the mixture first.
        sums: Targets that are a sum of stems, such as the accompaniment.
        validation: Songs of ``train`` that are held out.
    """

    streams: dict[str, int]
    files: dict[str, str]
    sums: tuple[tuple[str, tuple[str, ...]], ...]
    validation: frozenset[str]


def list_musdb_songs(root: Path) -> list[SourceSong]:
    """Find the songs of a MUSDB set, in the order train, validation, test, and by name in each; no file is opened.

    Args:
        root: Folder with ``train`` and ``test``, and in them ``Artist - Title.stem.mp4`` files or folders of wav files.
            A ``mus.yaml`` in it is musdb's setup file, which names the validation tracks; without, MUSDB18's own.

    Raises:
        DatasetError: no such folders, no song in them, or a ``mus.yaml`` that musdb could not use either.
        FfmpegMissing: musdb cannot be loaded without ffmpeg on the PATH.
    """
    subsets = [subset for subset in _SUBSETS if (root / subset).is_dir()]
    if not subsets:
        hint = "Give the folder of MUSDB18 or MUSDB18-HQ."
        raise DatasetError("has no folder train or test", path=root, hint=hint)
    setup = _read_setup(root)
    stem_files = any(any((root / subset).glob(f"*{_STEMS_SUFFIX}")) for subset in subsets)
    find = _stem_files if stem_files else _wav_folders
    songs = [
        SourceSong(printable(name), subset, _own_split(subset, name, setup), recordings, setup.sums)
        for subset in subsets
        for name, recordings in find((root / subset).absolute(), setup)
    ]
    if not songs:
        raise DatasetError(
            f"no songs in {' and '.join(subsets)}",
            path=root,
            hint=f"Expected 'Artist - Title{_STEMS_SUFFIX}' files, or folders 'Artist - Title' of wav files.",
        )
    return sorted(songs, key=lambda song: (SPLITS.index(song.own_split or "train"), song.name))


def _own_split(subset: Split, name: str, setup: _Setup) -> Split:
    return "validation" if subset == "train" and name in setup.validation else subset


def _stem_files(folder: Path, setup: _Setup) -> Iterator[tuple[str, tuple[tuple[str, Recording], ...]]]:
    for path in folder.glob(f"*{_STEMS_SUFFIX}"):
        if not path.name.startswith("."):
            recordings = tuple((name, Recording(path, stream)) for name, stream in setup.streams.items())
            yield path.name.removesuffix(_STEMS_SUFFIX), recordings


def _wav_folders(folder: Path, setup: _Setup) -> Iterator[tuple[str, tuple[tuple[str, Recording], ...]]]:
    for song in folder.iterdir():
        files = {name: song / file for name, file in setup.files.items()}
        recordings = tuple((name, Recording(path)) for name, path in files.items() if path.is_file())
        if recordings and not song.name.startswith("."):
            yield song.name, recordings


def _read_setup(root: Path) -> _Setup:
    try:
        import musdb
    except RuntimeError as error:
        hint = "Add their folder to PATH."
        raise FfmpegMissing("musdb looks for ffmpeg and ffprobe only on the PATH", hint=hint) from error
    own = (root / _SETUP_FILE).is_file()
    try:
        # Without subsets it reads its setup and no song: it would start ffprobe for every one, and give up at the first
        # damaged file.
        content = musdb.DB(root=str(root), setup_file=_SETUP_FILE if own else None, subsets=[]).setup
        return _setup(content)
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"is not a setup file of musdb ({reason})",
            path=root / _SETUP_FILE,
            hint="Correct it, or remove it to use MUSDB18's own.",
        ) from error


def _setup(content: Mapping[str, Any]) -> _Setup:
    stems = {recording_name(name): str(file) for name, file in content["sources"].items()}
    streams = {recording_name(name): int(stream) for name, stream in content["stem_ids"].items()}
    sums = {recording_name(name): tuple(map(recording_name, parts)) for name, parts in content["targets"].items()}
    return _Setup(
        streams={name: streams[name] for name in ("mixture", *stems)},
        files={"mixture": str(content["mixture"]), **stems},
        sums=tuple((name, parts) for name, parts in sums.items() if name not in stems),
        validation=frozenset(content["validation_tracks"] or ()),
    )


LAYOUTS: dict[str, Callable[[Path], list[SourceSong]]] = {"folders": list_folder_songs}
"""What finds the songs of a set other than MUSDB, by the name that ``--layout`` takes."""


def find_dataset(musdb_root: Path | None, stems_root: Path | None, layout: str = "folders") -> list[SourceSong]:
    """The songs of a MUSDB set, or of another one in one of the `LAYOUTS`.

    Raises:
        DatasetError: none or both of the two are given, there is no such layout, or there are no songs.
    """
    if musdb_root is not None and stems_root is None:
        return list_musdb_songs(musdb_root)
    if stems_root is not None and musdb_root is None:
        if layout not in LAYOUTS:
            raise DatasetError(f"there is no layout {layout!r}", hint=f"Choose {' or '.join(LAYOUTS)}.")
        return LAYOUTS[layout](stems_root)
    raise DatasetError(
        "exactly one of --musdb-root and --stems-root is needed",
        hint="Give --musdb-root for MUSDB18 and sets in its layout, --stems-root for any other set.",
    )
