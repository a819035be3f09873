"""The page of a folder of songs: a list that links to the page of each."""

import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import unescape
from itertools import chain
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from pydantic import TypeAdapter, ValidationError

from sepcore.errors import AudioEncodeError
from sepcore.page.document import (
    SORTING_SCRIPT,
    Cell,
    Column,
    Table,
    build_document,
    relative_address,
    shown_name,
    write_document,
)
from sepcore.separation.stem_files.page import clock
from sepcore.separation.stem_files.page_links import (
    LIST_MARK,
    is_free,
    is_song_list,
    link_page,
    page_title,
    song_duration_s,
)
from sepcore.system.locks import locked
from sepcore.system.os_errors import fix_for, reason_of

_FILTER_SCRIPT = "filter.js"

_logger = logging.getLogger(__name__)
# The list gets the first of these that is free.
_NAMES = ("index.html", "songs.html")
_NO_FOLDER = "/"
_SONGS = re.compile(r'<script type="application/json" id="songs">(.*?)</script>', re.DOTALL)
_LISTED_BEFORE = TypeAdapter(list[tuple[str, str, str]])
# For reading the lists of earlier versions.
_ROW = re.compile(
    r'<tr><th scope="row" data-value="(?P<name>[^"]*)"><a href="(?P<address>[^"]*)">[^<]*</a></th>'
    r'(<td data-value="(?P<folder>[^"]*)">)?'
)


class _Listed(NamedTuple):
    name: str
    folder: str  # empty: none is shown
    page: Path
    duration_s: float


def write_folder_page(out: Path, pages: Iterable[tuple[str, Path]]) -> Path | None:
    """Write ``index.html``, which lists songs by folder and name, and make each song's page link to its neighbors.

    Songs of earlier runs stay in the list as long as their pages exist. The list becomes ``songs.html`` if
    ``index.html`` is a song's own page or, with a warning, somebody else's. All links are relative: the folder can be
    moved.

    Args:
        out: The folder that holds all pages, at any depth.
        pages: Each song's name with its folders (``First album/My Song``) and its page, relative to ``out``. Pages that
            do not exist are left out.

    Returns:
        The list; None if there is no page but perhaps ``index.html`` itself, or if both names are taken.
    """
    if not out.is_dir():
        return None
    try:
        with locked(out / ".songs.lock", f"listing the songs of {out}"):
            return _write(out, pages)
    except OSError as error:
        raise AudioEncodeError(
            f"the songs' pages cannot be written: {reason_of(error)}",
            path=out,
            hint=f"{fix_for(error)} and run the same command again.",
            errno=error.errno,
        ) from error


def _write(out: Path, pages: Iterable[tuple[str, Path]]) -> Path | None:
    found = {song.page: song for song in chain(_listed_before(out), _listed(out, pages))}
    songs = sorted(found.values(), key=lambda song: (_by_number(song.folder), _by_number(song.name)))
    free = [out / name for name in _NAMES if out / name not in found]
    path = next((path for path in free if is_song_list(path) or is_free(path)), None)
    if len(songs) <= (out / _NAMES[0] in found):
        return None
    if path != free[0]:
        where = f"the list of songs is {path.name}" if path else "no list of songs is written"
        _logger.warning("%s: was not written by this program and is kept; %s", free[0], where)
    if path is None:
        return None
    write_document(path, _document(out, path, songs))
    neighbors = [None, *((song.name, song.page) for song in songs), None]
    for song, before, after in zip(songs, neighbors, neighbors[2:], strict=False):
        link_page(song.page, songs=path, before=before, after=after)
    return path


def _listed(out: Path, pages: Iterable[tuple[str, Path]]) -> Iterator[_Listed]:
    for title, relative in pages:
        place = PurePath(title)
        folder = "" if place.parent == PurePath() else str(place.parent)
        yield from _with_length(shown_name(place.name), shown_name(folder), out / relative)


def _listed_before(out: Path) -> Iterator[_Listed]:
    """The songs of the present list, and the song whose own page has its name."""
    yield from _with_length(page_title(out / _NAMES[0]), "", out / _NAMES[0])
    for path in (out / name for name in _NAMES):
        for name, folder, address in _rows(path.read_text("utf-8", "replace")) if is_song_list(path) else ():
            page = PurePath(os.fsdecode(unquote_to_bytes(address)))
            if ".." not in page.parts and not page.is_absolute():
                yield from _with_length(name, folder, out / page)


def _rows(document: str) -> Iterator[tuple[str, str, str]]:
    """Name, folder and address of each song in a list."""
    if found := _SONGS.search(document):
        with suppress(ValidationError):  # somebody has edited it
            yield from _LISTED_BEFORE.validate_json(found[1])
            return
    for row in _ROW.finditer(document):
        folder = unescape(row["folder"] or "")
        yield unescape(row["name"]), "" if folder == _NO_FOLDER else folder, unescape(row["address"])


def _with_length(name: str, folder: str, page: Path) -> Iterator[_Listed]:
    duration_s = song_duration_s(page)
    if duration_s is not None:
        yield _Listed(name, folder, page, duration_s)


def _by_number(name: str) -> list[str | tuple[int, str]]:
    """A key that sorts names as the list's script does: without case and accents, and numbers by their size."""
    plain = "".join(one for one in unicodedata.normalize("NFD", name) if not unicodedata.combining(one)).casefold()
    text_and_digits = enumerate(re.split(r"([0-9]+)", plain))  # in turn
    return [_size(part) if place % 2 else part for place, part in text_and_digits]


def _size(digits: str) -> tuple[int, str]:
    """A key that sorts numbers of any length."""
    counted = digits.lstrip("0")
    return len(counted), counted


def _document(out: Path, path: Path, songs: Sequence[_Listed]) -> Iterator[str]:
    has_folders = any(song.folder for song in songs)
    addresses = [relative_address(song.page, path) for song in songs]
    rows = [
        [
            Cell(song.name, song.name, address),
            # Songs without a folder come first; with an empty value they would come last.
            *([Cell(song.folder, song.folder or _NO_FOLDER)] if has_folders else []),
            Cell(clock(song.duration_s), song.duration_s),
        ]
        for song, address in zip(songs, addresses, strict=True)
    ]
    folder = [Column("folder", is_number=False)] if has_folders else []
    columns = [Column("song", is_number=False), *folder, Column("length")]
    return build_document(
        Path(__file__).parent,
        "folder.html",
        title=shown_name(out.resolve().name) or "Songs",
        scripts=[SORTING_SCRIPT, _FILTER_SCRIPT],
        facts={LIST_MARK: len(songs)},
        table=Table(columns, rows, "Each song leads to its player.", sorted_by=len(folder)),
        songs=[(song.name, song.folder, address) for song, address in zip(songs, addresses, strict=True)],
        duration=clock(sum(song.duration_s for song in songs)),
    )
