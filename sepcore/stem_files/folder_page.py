"""The page of a folder of songs: a list that leads to the page of each."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from sepcore.atomic import write_text
from sepcore.errors import AudioEncodeError
from sepcore.page.document import build_document, text
from sepcore.page.links import relative_address, shown_name
from sepcore.page.table import SORTING_SCRIPT, Cell, Column, build_table
from sepcore.stem_files.page import clock
from sepcore.stem_files.page_links import link_page, song_duration_s

_FILTER_SCRIPT = "filter.js"


@dataclass(frozen=True)
class _Listed:
    """A song of the list: its name, the folder that it is shown in ("" for none), its page, its length in seconds."""

    name: str
    folder: str
    page: Path
    duration_s: float


def write_folder_page(out: Path, pages: Iterable[tuple[str, Path]]) -> Path | None:
    """Write ``index.html``, which lists songs and leads to their pages, and let each page lead to the next.

    Where a song's own page is ``index.html``, the list becomes ``songs.html``; a song alone there needs none. All links
    are relative: the folder can be moved. Songs stand in the order of folder and name.

    Args:
        out: The folder that holds all pages, at any depth.
        pages: Of each song its name, with the folders that it lies in (``First album/My Song``), and its page, relative
            to ``out``. Pages that do not exist are left out.

    Returns:
        The list's file; None if none is needed, because there is no page, or the only one is ``index.html`` itself.

    Raises:
        AudioEncodeError: if the list cannot be written, or a page not be read and written.
    """
    try:
        songs = sorted(_listed(out, pages), key=lambda song: (_by_number(song.folder), _by_number(song.name)))
        path = out / "index.html"
        is_a_songs = path in [song.page for song in songs]
        if len(songs) <= is_a_songs:
            return None
        if is_a_songs:
            path = out / "songs.html"
        write_text(path, _document(out, path, songs))
        neighbours = [None, *((song.name, song.page) for song in songs), None]
        for song, before, after in zip(songs, neighbours, neighbours[2:], strict=False):
            link_page(song.page, songs=path, before=before, after=after)
    except OSError as error:
        raise AudioEncodeError(f"{out}: the songs' pages cannot be written: {error.strerror or error}") from error
    return path


def _listed(out: Path, pages: Iterable[tuple[str, Path]]) -> Iterator[_Listed]:
    for title, relative in pages:
        page, place = out / relative, PurePath(title)
        duration_s = song_duration_s(page)
        if duration_s is not None:
            folder = "" if place.parent == PurePath() else str(place.parent)
            yield _Listed(shown_name(place.name), shown_name(folder), page, duration_s)


def _by_number(name: str) -> list[str | int]:
    """Sorts names as the list's script does: small letters without accents, and numbers by their size."""
    plain = "".join(one for one in unicodedata.normalize("NFD", name) if not unicodedata.combining(one)).casefold()
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", plain)]


def _document(out: Path, path: Path, songs: Sequence[_Listed]) -> str:
    title = shown_name(out.resolve().name) or "Songs"
    has_folders = any(song.folder for song in songs)
    columns = [Column("song", is_number=False), *([Column("folder", is_number=False)] if has_folders else [])]
    rows = [
        [
            Cell(song.name, song.name, address=relative_address(song.page, path)),
            # Those in no folder stand before the others, not behind as what has no value.
            *([Cell(song.folder, song.folder or "/")] if has_folders else []),
            Cell(clock(song.duration_s), song.duration_s),
        ]
        for song in songs
    ]
    table = build_table(
        [*columns, Column("length")],
        rows,
        caption="Each song leads to its player.",
        sorted_by=1 if has_folders else 0,
    )
    total = clock(sum(song.duration_s for song in songs))
    counted = "1 song" if len(songs) == 1 else f"{len(songs)} songs"
    body = "\n".join(
        (
            "<header>",
            f"<h1>{text(title)}</h1>",
            f'<p class="lead">{counted}, {total} in all: mixture and stems to listen to</p>',
            "</header>",
            '<main class="filterable">',
            '<p class="filter"><label for="filter">Find a song</label>'
            '<input type="search" id="filter" autocomplete="off"><output for="filter" role="status"></output></p>',
            table,
            "</main>",
        )
    )
    return build_document(title, body, scripts=[SORTING_SCRIPT, _FILTER_SCRIPT])
