"""The rows of a CSV, read strictly: spreadsheets and editors damage them in many ways."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sepcore.errors import DatasetError
from sepcore.system.os_errors import reason_of

_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class RowFault:
    """Why a row of a manifest cannot be used."""

    number: int  # the row; the first song is row 1
    reason: str  # what was found, in one line
    cure: str  # how to fix it; the same text for the same kind of fault


def read_columns(csv_path: Path) -> list[str]:
    """The names in a CSV's header, without the spaces around them.

    Raises:
        DatasetError: it is not a CSV file in UTF-8, or its columns are not separated by commas.
    """
    with _opened(csv_path) as lines:
        return _header(csv_path, lines)


def read_rows(csv_path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str] | RowFault]]:
    """Read the rows of a CSV one by one; blank lines are skipped and not counted.

    Yields:
        The row's number, from 1, and the texts of ``columns`` with the spaces around them, "" where the row is too
        short; or the fault of a row with more fields than the header has.

    Raises:
        DatasetError: as `read_columns`, or a column is missing or repeated.
    """
    with _opened(csv_path) as lines:
        header = _header(csv_path, lines)
        if missing := [column for column in columns if column not in header]:
            problem = f"lacks the column(s) {', '.join(missing)} (it has {', '.join(header) or 'none'})"
            hint = f"The model needs {', '.join(columns)}."
            raise DatasetError(problem, path=csv_path, hint=hint)
        if repeated := [column for column in columns if header.count(column) > 1]:
            hint = "Rename or remove the others."
            raise DatasetError(f"has the column {repeated[0]} more than once", path=csv_path, hint=hint)
        places = {column: header.index(column) for column in columns}
        number = 0
        for fields in lines:
            while fields and not fields[-1].strip():
                fields.pop()
            if not fields:
                continue
            number += 1
            if len(fields) > len(header):
                reason = f"has {len(fields)} fields, the header has {len(header)}"
                cure = 'Put a name that has a comma in quotation marks ("), and write decimals with a point.'
                yield number, RowFault(number, reason, cure)
            else:
                yield number, {name: fields[place] if place < len(fields) else "" for name, place in places.items()}


@contextmanager
def _opened(csv_path: Path) -> Iterator[Iterator[list[str]]]:
    last_whole_line = 0

    def lines() -> Iterator[list[str]]:
        nonlocal last_whole_line
        # Strict: else a quotation mark that is never closed swallows the rest of the file as one record.
        reader = csv.reader(file, strict=True)
        for fields in reader:
            last_whole_line = reader.line_num
            yield fields

    try:
        # Spreadsheet programs put a byte order mark in front; utf-8-sig reads with and without.
        with csv_path.open(encoding="utf-8-sig", newline="") as file:
            yield lines()
    except OSError as error:
        problem = f"cannot be read as a manifest ({reason_of(error)})"
        hint = "Give the name of a CSV file that can be read."
        raise DatasetError(problem, path=csv_path, hint=hint, errno=error.errno) from error
    except UnicodeDecodeError as error:
        hint = "Save it as UTF-8 (in a spreadsheet program: CSV UTF-8)."
        raise DatasetError(f"cannot be read as a manifest ({error})", path=csv_path, hint=hint) from error
    except csv.Error as error:
        problem = f"cannot be read as a manifest from line {last_whole_line + 1} on ({error})"
        hint = 'Look for a quotation mark (") that is not closed there.'
        raise DatasetError(problem, path=csv_path, hint=hint) from error


def _header(csv_path: Path, lines: Iterator[list[str]]) -> list[str]:
    header = [name.strip() for name in next(lines, [])]
    for separator, name in _OTHER_SEPARATORS.items():
        if len(header) == 1 and separator in header[0]:
            hint = "Save it with commas between the columns (and decimal points)."
            raise DatasetError(f"its columns are separated by {name}", path=csv_path, hint=hint)
    return header
