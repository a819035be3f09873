"""The songs of a dataset, found in its folders: MUSDB's layouts, and a folder of folders."""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sepcore.errors import DatasetError, FfmpegMissing
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES
from sepcore.system.printable import printable

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
_SPLIT_FOLDERS: dict[str, Split] = {"valid": "validation", **{split: split for split in SPLITS}}
_MUSDB_SUBSETS: tuple[Split, ...] = ("train", "test")
_SETUP_FILE = "mus.yaml"
_STEMS_SUFFIX = ".stem.mp4"


@dataclass(frozen=True)
class Recording:
    """An audio stream of a file; streams are counted from 0."""

    path: Path
    stream: int = 0

    @property
    def is_stem_of_mp4(self) -> bool:
        """Whether it is in a ``.stem.mp4``, which musdb and museval read as 16-bit integers."""
        return self.path.name.lower().endswith(_STEMS_SUFFIX)


@dataclass(frozen=True)
class SourceSong:
    """One song of a dataset."""

    name: str  # name of its folder, or of its ``.stem.mp4``, as `printable` text
    subset: str  # name of the folder that it is in; "" for the dataset's root; no two songs of one have the same name
    own_split: Split | None  # the dataset's own split; None if it has none
    # The stems, and the mixture if there is one, with their names (see `recording_name`).
    recordings: tuple[tuple[str, Recording], ...]
    # The sums of stems that the dataset defines: names and names of the stems.
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def artist(self) -> str:
        """The part of the name before " - ", or the whole name."""
        return self.name.partition(" - ")[0].strip()


def recording_name(text: str) -> str:
    """The name of a recording or an instrument for comparisons, regardless of case and Unicode form."""
    return unicodedata.normalize("NFC", text).casefold()


def list_folder_songs(root: Path) -> list[SourceSong]:
    """Find the songs of a folder of folders ``<song>/<instrument>.<ext>``, by name; no file is opened.

    Hidden files and files without a suffix of audio (notes, pictures, MIDI, projects) are skipped.

    Args:
        root: Folder of the songs. Folders ``train``, ``validation`` (or ``valid``) and ``test`` in it, with songs in
            them, are the set's own split.

    Raises:
        DatasetError: there is no such folder or no song in it, or it is MUSDB18.
    """
    _check_folder(root)
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


@dataclass(frozen=True)
class _Setup:
    """A setup file of musdb."""

    streams: dict[str, int]  # of a .stem.mp4 by recording, the mixture first
    files: dict[str, str]  # in a song's folder by recording, the mixture first
    sums: tuple[tuple[str, tuple[str, ...]], ...]  # targets such as the accompaniment, and their stems
    validation: frozenset[str]  # songs of train that are held out


def list_musdb_songs(root: Path) -> list[SourceSong]:
    """Find the songs of a MUSDB set: train, validation, then test, each by name; no recording is opened.

    Args:
        root: Folder with ``train`` and ``test``, and in them ``Artist - Title.stem.mp4`` files or folders of wav files.
            A ``mus.yaml`` in it replaces musdb's setup file for MUSDB18, which names the validation songs.

    Raises:
        DatasetError: there are no such folders or no song in them, or musdb cannot use the ``mus.yaml``.
        FfmpegMissing: musdb cannot be loaded without ffmpeg on the PATH.
    """
    subsets = [subset for subset in _MUSDB_SUBSETS if (root / subset).is_dir()]
    if not subsets:
        hint = "Give the folder of MUSDB18 or MUSDB18-HQ."
        raise DatasetError("has no folder train or test", path=root, hint=hint)
    setup = _read_setup(root)
    stem_files = any(any((root / subset).glob(f"*{_STEMS_SUFFIX}")) for subset in subsets)
    find = _stem_files if stem_files else _wav_folders
    songs = [
        SourceSong(
            printable(name),
            subset,
            "validation" if subset == "train" and name in setup.validation else subset,
            recordings,
            setup.sums,
        )
        for subset in subsets
        for name, recordings in find((root / subset).absolute(), setup)
    ]
    if not songs:
        hint = f"Expected 'Artist - Title{_STEMS_SUFFIX}' files, or folders 'Artist - Title' of wav files."
        raise DatasetError(f"no songs in {' and '.join(subsets)}", path=root, hint=hint)
    return sorted(songs, key=lambda song: (SPLITS.index(song.own_split or "train"), song.name))


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
    import yaml  # with musdb, only for this layout

    try:
        import musdb
    except RuntimeError as error:
        problem = "musdb looks for ffmpeg and ffprobe only on the PATH"
        raise FfmpegMissing(problem, hint="Add their folder to PATH.") from error
    setup_file = _SETUP_FILE if (root / _SETUP_FILE).is_file() else None
    try:
        # Without subsets, so that it reads no song: it would start ffprobe for each, and stop at a damaged one.
        content = musdb.DB(root=str(root), setup_file=setup_file, subsets=[]).setup
        stems = {recording_name(name): str(file) for name, file in content["sources"].items()}
        streams = {recording_name(name): int(stream) for name, stream in content["stem_ids"].items()}
        sums = {recording_name(name): tuple(map(recording_name, parts)) for name, parts in content["targets"].items()}
        return _Setup(
            streams={name: streams[name] for name in ("mixture", *stems)},
            files={"mixture": str(content["mixture"]), **stems},
            sums=tuple((name, parts) for name, parts in sums.items() if name not in stems),
            validation=frozenset(content["validation_tracks"] or ()),
        )
    except (yaml.YAMLError, UnicodeDecodeError, LookupError, TypeError, AttributeError, ValueError) as error:
        reason = " ".join(str(error).split())
        hint = "Correct it, or remove it to use MUSDB18's own."
        raise DatasetError(f"is not a setup file of musdb ({reason})", path=root / _SETUP_FILE, hint=hint) from error


LAYOUTS: dict[str, Callable[[Path], list[SourceSong]]] = {"folders": list_folder_songs}
"""The functions that find the songs of a set other than MUSDB, by the value of ``--layout``."""


def find_dataset(musdb_root: Path | None, stems_root: Path | None, layout: str = "folders") -> list[SourceSong]:
    """The songs of a MUSDB set, or of another set in one of the `LAYOUTS`.

    Raises:
        DatasetError: neither or both are given, there is no such layout or folder, there are no songs in it, or two of
            them would be ingested as one.
    """
    if musdb_root is not None and stems_root is None:
        return list_musdb_songs(musdb_root)
    if stems_root is not None and musdb_root is None:
        if layout not in LAYOUTS:
            raise DatasetError(f"there is no layout {layout!r}", hint=f"Choose {' or '.join(LAYOUTS)}.")
        return _checked(LAYOUTS[layout], stems_root)
    hint = "Give --musdb-root for MUSDB18 and sets in its layout, --stems-root for any other set."
    raise DatasetError("exactly one of --musdb-root and --stems-root is needed", hint=hint)


def _checked(find_songs: Callable[[Path], list[SourceSong]], root: Path) -> list[SourceSong]:
    _check_folder(root)
    songs = find_songs(root)
    if not songs:
        raise DatasetError("no songs found", path=root, hint="Check the folder, or give another --layout.")
    places = Counter((song.subset, song.name) for song in songs)
    (subset, name), number = places.most_common(1)[0]
    if number > 1:
        folder = root / subset if subset else root
        raise DatasetError(f"{number} songs called {name}", path=folder, hint="Rename them, or leave one of them.")
    return songs


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        raise DatasetError("no such folder", path=root, hint="Give the folder that holds the songs' folders.")
