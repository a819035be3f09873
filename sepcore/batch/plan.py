"""Which songs a batch has, and where the stems of each go: decided before any work starts."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sepcore.batch.records import RECORDS, recorded_stems
from sepcore.batch.song import Song
from sepcore.errors import ConfigError
from sepcore.separation.stem_files.names import check_no_clash, chosen_stems, stem_paths
from sepcore.separation.stem_files.options import StemFileOptions, check_options
from sepcore.separation.stem_files.page import song_page_path
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES
from sepcore.system.atomic import remove_leftovers
from sepcore.system.output_folder import check_writable


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


# Stands for every instrument at once. No file's name can hold it, no format yields it.
_ANY_STEM = "\N{NULL}"


def plan_batch(
    songs: Mapping[Path, Path],
    out: Path,
    instruments: Sequence[str],
    options: StemFileOptions,
    *,
    filename_format: str,
) -> list[Song]:
    """Decide, before any work starts, where each stem goes; nothing is written.

    Args:
        songs: As `find_songs` returns them.
        out: The output folder.
        instruments: The model's stems.
        options: Which stems are written, and as what.
        filename_format: See `stem_paths`.

    Raises:
        ConfigError: options or a format that cannot be used; two songs that would write the same file.
    """
    check_options(options)
    stems = chosen_stems(instruments, options)

    def files(song: Path, names: Sequence[str]) -> dict[str, Path]:
        return stem_paths(song, out / songs[song], names, filename_format=filename_format, codec=options.codec)

    def page(song: Path) -> Path | None:
        if not options.page:
            return None
        return song_page_path(song, out / songs[song], filename_format=filename_format, codec=options.codec)

    planned = {song: files(song, stems) for song in songs}
    pages = {song: page(song) for song in songs}
    check_no_clash({song: stem_files | _as_file("page", pages[song]) for song, stem_files in planned.items()})
    return [
        Song(
            song,
            out,
            tuple((stem, file.relative_to(out)) for stem, file in stem_files.items()),
            files(song, [_ANY_STEM])[_ANY_STEM].relative_to(out).as_posix(),
            str(songs[song] / song.stem),
            found.relative_to(out) if (found := pages[song]) else None,
        )
        for song, stem_files in planned.items()
    ]


def _as_file(name: str, path: Path | None) -> dict[str, Path]:
    return {name: path} if path else {}


def prepare_output(songs: Sequence[Song], out: Path) -> None:
    """Make the output folder, see that it can be written to, and remove what killed runs left half-written in it.

    Raises:
        ConfigError: if it cannot be written to.
    """
    check_writable(out, "-o")
    remove_half_written(songs, out)


def remove_half_written(songs: Sequence[Song], out: Path) -> None:
    """Remove what processes that were killed left half-written for songs in an output folder."""
    for folder in dict.fromkeys([out, out / RECORDS, *(folder for song in songs for folder in song.folders)]):
        if folder.is_dir():
            remove_leftovers(folder)
