"""Tables of HTML, sortable or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from sepcore.page.document import text

SORTING_SCRIPT = "sortable_table.js"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        shown: Plain text.
        value: What it is sorted by; None: nothing, so that it stands last.
        link: The ``id`` of what it leads to in the same page; empty for none.
        address: Of another page that it leads to, as of `links.relative_address`; empty for none.
    """

    shown: str
    value: float | str | None = None
    link: str = ""
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


def build_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Cell]],
    *,
    caption: str,
    sorted_by: int | None = None,
    emphasised: Sequence[int] = (),
) -> str:
    """A table as HTML; the first cell of each row is the row's heading.

    Args:
        columns: Its columns.
        rows: Cells, as many in each row as there are columns.
        caption: What the table shows, plain text.
        sorted_by: The column by which the rows are sorted already, the least first: clicks on the headings sort it
            anew, with `SORTING_SCRIPT` in the page. None: a table that cannot be sorted.
        emphasised: Rows that are to stand out.

    Raises:
        ValueError: if a row has more or fewer cells than there are columns.
    """
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"the row {row[0].shown!r} has {len(row)} cells; expected {len(columns)}, one a column.")
    is_sortable = sorted_by is not None
    headings = "".join(_heading(column, is_sortable, number == sorted_by) for number, column in enumerate(columns))
    body = "\n".join(_row(cells, columns, number in emphasised) for number, cells in enumerate(rows))
    return "\n".join(
        (
            # Not as the table's own caption: on a narrow screen that would scroll away with the columns.
            f'<p class="caption" aria-hidden="true">{text(caption)}</p>',
            f'<div class="scroll" role="region" aria-label="{text(caption)}" tabindex="0">',
            '<table class="sortable">' if is_sortable else "<table>",
            f"<thead><tr>{headings}</tr></thead>",
            f"<tbody>\n{body}\n</tbody>",
            "</table>",
            "</div>",
        )
    )


def _heading(column: Column, is_sortable: bool, is_sorted: bool) -> str:
    attributes = ' data-sort="number"' if column.is_number else ""
    if is_sorted:
        attributes += ' aria-sort="ascending"'
    heading = text(column.heading)
    if is_sortable:
        heading = f'<button type="button">{heading}</button>'
    return f'<th scope="col"{attributes}>{heading}</th>'


def _row(cells: Sequence[Cell], columns: Sequence[Column], is_emphasised: bool) -> str:
    row = "".join(
        _cell(cell, column, number == 0) for number, (cell, column) in enumerate(zip(cells, columns, strict=True))
    )
    return f'<tr class="emphasised">{row}</tr>' if is_emphasised else f"<tr>{row}</tr>"


def _cell(cell: Cell, column: Column, is_heading: bool) -> str:
    address = f"#{cell.link}" if cell.link else cell.address
    shown = f'<a href="{text(address)}">{text(cell.shown)}</a>' if address else text(cell.shown)
    tag, attributes = ("th", ' scope="row"') if is_heading else ("td", ' class="number"' if column.is_number else "")
    value = "" if cell.value is None else text(cell.value)
    return f'<{tag}{attributes} data-value="{value}">{shown}</{tag}>'
