"""The songs of a batch: all audio that is named or lies in named folders."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from sepcore.batch.records import RECORDS, recorded_stems
from sepcore.errors import ConfigError
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES


def find_songs(paths: Iterable[Path], *, out: Path | None = None, may_be_empty: bool = False) -> dict[Path, Path]:
    """All audio files that are named or lie in named folders, at any depth, hidden ones left out.

    Args:
        paths: Files and folders.
        out: The output folder. What is in it are stems of an earlier run and no songs, where it lies inside a named
            folder. Files that an earlier run recorded as stems are none either, in whatever output folder.
        may_be_empty: Whether a folder may hold no audio file, or none yet.

    Returns:
        Each song, sorted within its folder, with the folder of its stems relative to the output: the tree below a
        named folder is kept.

    Raises:
        ConfigError: if a path does not exist, or a folder holds no audio file.
    """
    songs: dict[Path, Path] = {}
    known: set[Path] = set()

    def add(song: Path, below: Path) -> None:
        # Once, though it is named by a relative path and lies in a folder that is named by an absolute one.
        if song.absolute() not in known:
            known.add(song.absolute())
            songs[song] = below

    output = out.absolute() if out else None
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob("*"))
            inside = [
                file
                for file in found
                if file.suffix.lower() in AUDIO_SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
            ]
            # Stems of whatever earlier run, wherever its output folder lies.
            outputs = {folder.parent for folder in found if folder.name == RECORDS} | ({output} if output else set())
            inside = _without_stems(inside, path.absolute(), output, outputs)
            if not inside and not may_be_empty:
                raise ConfigError(
                    "no audio files in this folder", path=path, hint="Give one that has some, or name the files."
                )
            for file in inside:
                add(file, file.parent.relative_to(path))
        elif path.is_file():
            add(path, Path())
        elif path.exists():
            raise ConfigError(
                "is neither a file nor a folder", path=path, hint="Write what comes out of it to a file first."
            )
        else:
            raise ConfigError("no such file or folder", path=path, hint="Check the name.")
    return songs


def _without_stems(files: list[Path], folder: Path, output: Path | None, outputs: set[Path]) -> list[Path]:
    """Files that are no stems: not in an output folder inside the given one, and in no output folder's records."""
    stems = {stem.absolute() for known in outputs for stem in recorded_stems(known)}
    inside = output if output and folder in output.parents else None
    return [
        file for file in files if file.absolute() not in stems and not (inside and inside in file.absolute().parents)
    ]


def settled_songs(songs: Mapping[Path, Path], *, seconds: float) -> dict[Path, Path]:
    """Those songs to which nothing has happened for some seconds; the others are left for the next round.

    Args:
        songs: As `find_songs` returns them.
        seconds: How long a file must have kept its content, its size and its times.
    """
    now = time.time()
    return {song: below for song, below in songs.items() if _is_settled(song, now, seconds)}


def _is_settled(song: Path, now: float, seconds: float) -> bool:
    try:
        stat = song.stat()
    except OSError:  # it has just been moved away
        return False
    # Whoever copies a file with its old time sets that at the end; that it did so is the time of the status. Times in
    # the future are of a clock that goes wrong, and would never pass.
    return all(abs(now - changed) >= seconds for changed in (stat.st_mtime, stat.st_ctime))
