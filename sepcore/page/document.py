"""Web pages of one file from Jinja2 templates: styles, scripts, audio and pictures are embedded; nothing is fetched."""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sepcore.system.atomic import atomic_path

if TYPE_CHECKING:
    from jinja2 import Environment

SORTING_SCRIPT = "sortable_table.js"

_ROOM = Path(__file__).parent
_STYLES = ("page.css", "table.css", "player.css", "songs.css")
_BLOCK_BYTES = 3 << 18  # a multiple of 3, or base64 would pad each block


def write_document(path: Path, document: Iterator[str]) -> None:
    """Write a page whole or not at all, as it is built, so that memory does not depend on its length."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(document)


def build_document(
    room: Path,
    template: str,
    *,
    title: str,
    scripts: Sequence[str] = (),
    facts: Mapping[str, object] | None = None,
    **values: object,
) -> Iterator[str]:
    """Pieces of an HTML document that needs no other file; the same arguments give the same text.

    Its content security policy lets the browser fetch nothing and run only the given scripts: markup in a song's name
    would not run even if it were not escaped.

    Args:
        room: The folder with ``templates/``.
        template: A file there that extends ``document.html``.
        title: Of the window, plain text.
        scripts: Files of ``sepcore/page/assets``, e.g. `player.PLAYER_SCRIPTS`, which run as one module.
        facts: For programs that read the page: ``<meta name=… content=…>`` near its start.
        values: What the template shows; all text is escaped.

    Raises:
        OSError: while the pieces are read, if an embedded file cannot be.
    """
    module = "\n".join(map(_asset, scripts))
    values |= {
        "title": title,
        "facts": facts or {},
        "styles": map(_asset, _STYLES),
        "script": module,
        "script_hash": base64.b64encode(hashlib.sha256(module.encode()).digest()).decode(),
    }
    return _templates(room).get_template(template).generate(values)


def render(room: Path, template: str, **values: object) -> str:
    """A part of a page from a template of a room, e.g. a line of links."""
    return _templates(room).get_template(template).render(**values)


@cache
def _templates(room: Path) -> "Environment":
    """The templates of a room, which may extend and include this room's."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # most commands write no page

    environment = Environment(
        loader=FileSystemLoader([room / "templates", _ROOM / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["base64_blocks"] = _base64_blocks
    return environment


def _base64_blocks(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield base64.b64encode(block).decode()


def _asset(name: str) -> str:
    return (_ROOM / "assets" / name).read_text("utf-8")


def relative_address(target: Path, page: Path) -> str:
    """The relative ASCII URL from the file of a page to any file of the same folder tree; the tree may move."""
    # System and browser treat a name as bytes, so this works for names that are not UTF-8.
    way = os.path.relpath(target.absolute(), page.absolute().parent)
    return "/".join(quote(os.fsencode(part), safe="") for part in Path(way).parts)


def shown_name(name: str) -> str:
    """A file's name as a page can show it, with replacement characters for bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


@dataclass(frozen=True)
class Cell:
    """A cell: plain text, a value to sort by (cells without one come last), and a link to a page or ``#id``."""

    shown: str
    value: float | str | None = None
    address: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table: numbers, right-aligned and sorted by size, or else text, sorted by alphabet."""

    heading: str
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is the row's heading.

    Attributes:
        columns: Its columns.
        rows: A cell per column in each.
        caption: What the table shows, plain text.
        sorted_by: The column that sorts the rows, smallest first, until somebody clicks on a heading; this needs
            `SORTING_SCRIPT`. None: the table cannot be sorted.
        emphasized: Indices of the rows that stand out.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str
    sorted_by: int | None = None
    emphasized: Sequence[int] = ()
