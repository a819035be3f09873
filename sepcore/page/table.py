"""Tables of a page, sortable or not, which the template ``table.html`` shows."""

from collections.abc import Sequence
from dataclasses import dataclass

SORTING_SCRIPT = "sortable_table.js"


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
