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
from sepcore.system.atomic import check_writable, remove_leftovers

# Takes the place of the instrument in a slot; no file name or format can hold it.
_ANY_STEM = "\N{NULL}"


def find_songs(paths: Iterable[Path], *, out: Path | None = None, may_be_empty: bool = False) -> dict[Path, Path]:
    """All audio files that are given or lie in given folders, at any depth, except hidden ones and stems.

    The content of the output folder ``out``, if it is inside a given folder, counts as stems; so does what an earlier
    run recorded as stems in any output folder. With ``may_be_empty`` a folder need not hold an audio file (yet).

    Songs are sorted within a given folder. Each comes with the folder of its stems relative to the output, which keeps
    the tree below a given folder.

    Raises:
        ConfigError: a path does not exist, or a folder holds no audio file.
    """
    # By absolute path: a relative path and a folder with an absolute path may lead to the same file.
    songs: dict[Path, tuple[Path, Path]] = {}
    output = out.absolute() if out else None
    for path in paths:
        if path.is_dir():
            found = sorted(path.rglob("*"))
            outputs = {folder.parent for folder in found if folder.name == RECORDS} | ({output} if output else set())
            stems = {stem.absolute() for folder in outputs for stem in recorded_stems(folder)}
            inner_output = output if output and path.absolute() in output.parents else None
            inside = [
                file
                for file in found
                if file.suffix.lower() in AUDIO_SUFFIXES
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(path).parts)
                and file.absolute() not in stems
                and inner_output not in file.absolute().parents
            ]
            if not inside and not may_be_empty:
                raise ConfigError(
                    "no audio files in this folder", path=path, hint="Give one that has some, or name the files."
                )
            for file in inside:
                songs.setdefault(file.absolute(), (file, file.parent.relative_to(path)))
        elif path.is_file():
            songs.setdefault(path.absolute(), (path, Path()))
        elif path.exists():
            raise ConfigError(
                "is neither a file nor a folder", path=path, hint="Write what comes out of it to a file first."
            )
        else:
            raise ConfigError("no such file or folder", path=path, hint="Check the name.")
    return dict(songs.values())


def settled_songs(songs: Mapping[Path, Path], *, seconds: float) -> dict[Path, Path]:
    """Those of the songs from `find_songs` whose files have not changed for this long."""
    now = time.time()
    return {song: below for song, below in songs.items() if _is_settled(song, now, seconds)}


def _is_settled(song: Path, now: float, seconds: float) -> bool:
    try:
        stat = song.stat()
    except OSError:  # it has just been moved away
        return False
    # Copying a file with its old time sets that time at the end, which changes the status time. Times in the future,
    # from a wrong clock, count like past ones: a song must not wait for them.
    return all(abs(now - changed) >= seconds for changed in (stat.st_mtime, stat.st_ctime))


def plan_batch(
    songs: Mapping[Path, Path],
    out: Path,
    instruments: Sequence[str],
    options: StemFileOptions,
    *,
    filename_format: str,
) -> list[Song]:
    """Decide where each of the model's stems goes, for songs from `find_songs`; nothing is written.

    Raises:
        ConfigError: the options or the format (see `stem_paths`) cannot be used, or two songs would write the same
            file.
    """
    check_options(options)
    stems = chosen_stems(instruments, options)
    form = {"filename_format": filename_format, "codec": options.codec}
    files = {song: stem_paths(song, out / below, stems, **form) for song, below in songs.items()}
    pages = {song: song_page_path(song, out / below, **form) for song, below in songs.items()} if options.page else {}
    check_no_clash({song: files[song] | ({"page": pages[song]} if options.page else {}) for song in songs})
    return [
        Song(
            song,
            out,
            tuple((stem, file.relative_to(out)) for stem, file in files[song].items()),
            slot=stem_paths(song, out / below, [_ANY_STEM], **form)[_ANY_STEM].relative_to(out).as_posix(),
            name=str(below / song.stem),
            page=pages[song].relative_to(out) if options.page else None,
        )
        for song, below in songs.items()
    ]


def prepare_output(songs: Sequence[Song], out: Path) -> None:
    """Create the output folder, and remove what killed runs left half-written; ConfigError if it is not writable."""
    check_writable(out, "-o")
    remove_half_written(songs, out)


def remove_half_written(songs: Sequence[Song], out: Path) -> None:
    """Remove what killed processes left half-written for these songs."""
    for folder in dict.fromkeys([out, out / RECORDS, *(folder for song in songs for folder in song.folders)]):
        if folder.is_dir():
            remove_leftovers(folder)
