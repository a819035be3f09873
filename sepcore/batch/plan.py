"""Where the stems of each song of a batch go, decided before any work starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sepcore.output_folder import check_writable
from sepcore.stem_files.names import check_no_clash, stem_paths


@dataclass(frozen=True)
class Song:
    """One song of a batch: its file and the files of its stems."""

    path: Path
    stems: tuple[tuple[str, Path], ...]


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
