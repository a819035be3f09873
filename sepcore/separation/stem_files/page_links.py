"""What a page says about itself near its start, and its line of links to the songs before and after it."""

import re
import shutil
from html import unescape
from pathlib import Path

from sepcore.page.document import relative_address, render, shown_name
from sepcore.system.atomic import atomic_path
from sepcore.system.ownership import is_plain_file

# A page's head has 15 kB of styles; the audio comes after the line of links.
_HEAD_BYTES = 1 << 17
_LINE = re.compile(rb'^<nav class="songs" aria-label="Songs">.*</nav>$', re.MULTILINE)
_TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL)
# Identifies the list of songs; in the lists of earlier versions only the text in the body does.
LIST_MARK = "stemworks-list-of-songs"
_LIST = re.compile(rb'<meta name="stemworks-list-of-songs" |to listen to</p>\n</header>\n<main class="filterable">')
_DURATION = re.compile(rb'<meta name="song-duration-s" content="([0-9]{1,7}(?:\.[0-9]{1,6})?)">')


def song_duration_s(page: Path) -> float | None:
    """The length of a song in seconds from its page; None if it is not the page of a song."""
    found = _DURATION.search(_head(page))
    return float(found[1]) if found else None


def page_title(page: Path) -> str:
    """The title of a page; empty without one."""
    found = _TITLE.search(_head(page))
    return unescape(found[1].decode("utf-8", "replace")) if found else ""


def is_song_list(page: Path) -> bool:
    """Whether a page lists songs and was written by `folder_page`."""
    return _LIST.search(_head(page)) is not None


def is_free(page: Path) -> bool:
    """Whether there is neither a file nor a link; a folder there is an error when the page is written."""
    return not page.is_file() and not page.is_symlink()


def is_ours(page: Path) -> bool:
    """Whether a page may be written there: the place is free, or has a song's page or a list of songs."""
    return is_free(page) or song_duration_s(page) is not None or is_song_list(page)


def remove_song_page(page: Path) -> None:
    """Remove a song's page, but no other file."""
    if song_duration_s(page) is not None:
        page.unlink(missing_ok=True)


def link_page(page: Path, *, songs: Path, before: tuple[str, Path] | None, after: tuple[str, Path] | None) -> None:
    """Make the page of a song, and no other file, link to the list of songs and the songs before and after it.

    They are given as name and page. The page is written whole or not at all; OSError if that, or reading it, fails.
    """
    links = {"songs": relative_address(songs, page), "before": _link(before, page), "after": _link(after, page)}
    line = render(Path(__file__).parent, "links.html", **links).strip().encode()
    found = _LINE.search(_head(page))
    if found is None or found[0] == line:
        return
    with page.open("rb") as old, atomic_path(page) as temporary, temporary.open("wb") as new:
        new.write(old.read(found.start()))
        new.write(line)
        old.seek(found.end())
        shutil.copyfileobj(old, new, 1 << 20)


def _link(target: tuple[str, Path] | None, page: Path) -> dict[str, str] | None:
    if target is None:
        return None
    name, path = target
    # In one line, whatever the name holds.
    return {"name": " ".join(shown_name(name).split()), "address": relative_address(path, page)}


def _head(page: Path) -> bytes:
    """The start of a page; empty if it is not a plain file."""
    if not is_plain_file(page):
        return b""
    with page.open("rb") as file:
        return file.read(_HEAD_BYTES)
