"""Where the stems of each song of a batch go, decided before any work starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sepcore.batch.records import RECORDS
from sepcore.batch.song import Song
from sepcore.separation.stem_files.names import check_no_clash, chosen_stems, stem_paths
from sepcore.separation.stem_files.options import StemFileOptions, check_options
from sepcore.separation.stem_files.page import song_page_path
from sepcore.system.atomic import remove_leftovers
from sepcore.system.output_folder import check_writable

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
