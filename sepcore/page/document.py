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
    """Write a page as it is built, whole or not at all; memory does not depend on its length."""
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
    """An HTML document that needs no other file.

    Its content security policy lets the browser fetch nothing and run only the given scripts: markup in a song's name
    would stay dead even if it had not been escaped.

    Args:
        room: The folder that holds ``templates/``.
        template: A file there that extends ``document.html``.
        title: Of the window, plain text.
        scripts: Files of ``sepcore/page/assets`` that the page needs, e.g. `player.PLAYER_SCRIPTS`; they become one
            module, which runs once the page is read.
        facts: What programs can read from the page, as ``<meta name=… content=…>`` near its start.
        values: What the template shows; all text is escaped.

    Returns:
        Pieces of the document; the same arguments give the same text.

    Raises:
        OSError: while the pieces are read, if an embedded file cannot be.
    """
    module = "\n".join(map(_asset, scripts))
    return (
        _templates(room)
        .get_template(template)
        .generate(
            title=title,
            facts=facts or {},
            styles=map(_asset, _STYLES),
            script=module,
            script_hash=base64.b64encode(hashlib.sha256(module.encode()).digest()).decode(),
            **values,
        )
    )


def render(room: Path, template: str, **values: object) -> str:
    """A template of a room that is part of a page, e.g. a line of links."""
    return _templates(room).get_template(template).render(**values)


@cache
def _templates(room: Path) -> "Environment":
    """The templates of a room, which may extend and include those of this one."""
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
    """The link from one page to another file of the same folder tree; it survives a move of the tree.

    Args:
        target: The file to link to; its name may have any characters.
        page: The file of the page with the link.

    Returns:
        A relative URL of ASCII characters.
    """
    # A name is bytes to the system and to a browser, so one that is not UTF-8 is found, too.
    way = os.path.relpath(target.absolute(), page.absolute().parent)
    return "/".join(quote(os.fsencode(part), safe="") for part in Path(way).parts)


def shown_name(name: str) -> str:
    """A file's name as a page can show it: bytes that are not UTF-8 become a replacement character."""
    return os.fsencode(name).decode("utf-8", "replace")


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        shown: Plain text.
        value: What it is sorted by; None: nothing, so that it stands last.
        address: What it links to: another page, or ``#id`` in the same one; empty for none.
    """

    shown: str
    value: float | str | None = None
    address: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Plain text.
        is_number: Sorted by size and set to the right; otherwise by alphabet.
    """

    heading: str
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row is the row's heading.

    Attributes:
        columns: Its columns.
        rows: Cells, as many in each row as there are columns.
        caption: What the table shows, plain text.
        sorted_by: The column by which the rows are sorted already, the least first: a click on a heading sorts them
            again, with `SORTING_SCRIPT` in the page. None: a table that cannot be sorted.
        emphasized: Numbers of the rows that stand out.

    Raises:
        ValueError: if a row has more or fewer cells than there are columns.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str
    sorted_by: int | None = None
    emphasized: Sequence[int] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"the row {row[0].shown!r} has {len(row)} cells; expected {len(self.columns)}, one a column."
                )

    @property
    def is_sortable(self) -> bool:
        """Whether clicks on its headings sort it."""
        return self.sorted_by is not None
