"""A folder of songs: which files there are, where their stems go, and what became of each."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sepcore.errors import AudioDecodeError, AudioEncodeError, ConfigError
from sepcore.output_folder import check_writable
from sepcore.output_names import check_no_clash, stem_paths
from sepcore.separate_file import AudioOptions, separate_file

if TYPE_CHECKING:
    from sepcore.separator import Separator

# What is taken from a folder. A file named itself is taken whatever its suffix.
_SUFFIXES = """
    aac ac3 aif aiff alac amr ape au caf dts flac m4a m4b mka mp2 mp3 oga ogg opus w64 wav wma wv
    3gp avi flv m4v mkv mov mp4 mpeg mpg ogv ts webm wmv
"""
AUDIO_SUFFIXES = frozenset(f".{suffix}" for suffix in _SUFFIXES.split())


@dataclass(frozen=True)
class Song:
    """One song of a batch: its file and the files of its stems."""

    path: Path
    stems: tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class Outcome:
    """What became of one song.

    Attributes:
        song: The song's file.
        status: Whether its stems are there.
        reason: Why not; empty if done.
        audio_s: Seconds of audio separated.
        elapsed_s: Seconds that it took.
    """

    song: Path
    status: Literal["done", "failed"]
    reason: str = ""
    audio_s: float = 0.0
    elapsed_s: float = 0.0


def find_songs(paths: Iterable[Path], *, out: Path | None = None) -> dict[Path, Path]:
    """All audio files that are named or lie in named folders, at any depth, hidden ones left out.

    Args:
        paths: Files and folders.
        out: The output folder; where it lies inside a named folder, what is in it are stems of an earlier run and no
            songs.

    Returns:
        Each song, sorted within its folder, with the folder of its stems relative to the output: the tree below a
        named folder is kept.

    Raises:
        ConfigError: if a path does not exist, or a folder holds no audio file.
    """
    songs: dict[Path, Path] = {}
    output = out.absolute() if out else None
    for path in paths:
        if path.is_dir():
            stems_inside = output is not None and path.absolute() in output.parents
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in AUDIO_SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
                and not (stems_inside and output in file.absolute().parents)
            ]
            if not inside:
                raise ConfigError(f"{path}: no audio files in this folder; give one that has some, or name the files.")
            for file in inside:
                songs.setdefault(file, file.parent.relative_to(path))
        elif path.exists():
            songs.setdefault(path, Path())
        else:
            raise ConfigError(f"{path}: no such file or folder; check the name.")
    return songs


def plan_batch(
    songs: Mapping[Path, Path], out: Path, instruments: Sequence[str], *, filename_format: str, codec: str
) -> list[Song]:
    """Decide, before any work starts, where each stem goes.

    Args:
        songs: As `find_songs` returns them.
        out: The output folder; made, and found to be writable.
        instruments: The model's stems.
        filename_format: See `stem_paths`.
        codec: See `stem_paths`.

    Raises:
        ConfigError: a format that cannot be used; two songs that would write the same file; an output folder that
            cannot be written.
    """
    planned = {
        song: stem_paths(song, out / below, instruments, filename_format=filename_format, codec=codec)
        for song, below in songs.items()
    }
    check_no_clash(planned)
    check_writable(out, "-o")
    return [Song(song, tuple(stems.items())) for song, stems in planned.items()]


def separate_song(
    separator: "Separator",
    song: Song,
    options: AudioOptions,
    *,
    on_samples: Callable[[int], None] = lambda samples: None,
) -> Outcome:
    """Separate one song of a batch; a file that cannot be read or written is an outcome, not an error."""
    started = time.monotonic()
    try:
        audio_s = separate_file(separator, song.path, dict(song.stems), options, on_samples=on_samples)
    except (AudioDecodeError, AudioEncodeError) as error:
        return Outcome(song.path, "failed", str(error), elapsed_s=time.monotonic() - started)
    return Outcome(song.path, "done", audio_s=audio_s, elapsed_s=time.monotonic() - started)
