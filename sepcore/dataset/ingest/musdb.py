"""The songs of MUSDB18 (``.stem.mp4``), MUSDB18-HQ (folders of wav files) and sets in their layouts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sepcore.dataset.ingest.recording import SPLITS, Recording, SourceSong, Split, recording_name
from sepcore.errors import DatasetError, FfmpegMissing
from sepcore.system.printable import printable

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
