"""Text that somebody else may have written: JSON is read within bounds, a name is no path."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sepcore.errors import StemworksError
from sepcore.system.printable import is_printable

MAX_BYTES = 1_000_000
"""A model's config has 2 kB, a release's scores 4 kB, the checksums of a hundred models 10 kB."""
MAX_DEPTH = 32
"""Ours are 4 deep; the parser, and code that walks through the values later, use the stack for each level."""
_MAX_DIGITS = 40
_MAX_NAME_BYTES = 150  # disks take 255; prefixes and suffixes are added to a name
_TOO_LARGE = f"larger than {MAX_BYTES // 1000} kB"
_TOO_DEEP = f"nested more than {MAX_DEPTH} deep"


class ForeignTextError(StemworksError, ValueError):
    """A text is not the expected JSON or name; says why, without the name of its file."""


def read_json(path: Path) -> Any:
    """`parse_json` of a file; OSError if it cannot be read."""
    return parse_json(read_bounded(path))


def read_bounded(path: Path) -> bytes:
    """The content of a file that may be anything; ForeignTextError if it is larger than `MAX_BYTES`."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ForeignTextError(_TOO_LARGE)
    return content


def parse_json(content: str | bytes, *, any_text: bool = False) -> Any:
    """The value of a plain JSON text; ForeignTextError if it is something else.

    Plain is UTF-8, at most `MAX_BYTES` long, at most `MAX_DEPTH` deep, with finite numbers, no key twice and, unless
    ``any_text``, no control characters: then the caller calls `check_texts`.
    """
    if len(content) > MAX_BYTES:
        raise ForeignTextError(_TOO_LARGE)
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        value = json.loads(
            text, parse_int=_int, parse_float=_float, parse_constant=_no_number, object_pairs_hook=_each_key_once
        )
    except json.JSONDecodeError as error:
        raise ForeignTextError(f"not valid JSON, line {error.lineno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ForeignTextError("not valid JSON: not UTF-8") from error
    except RecursionError as error:
        raise ForeignTextError(_TOO_DEEP) from error
    for depth, _ in enumerate(_levels(value)):
        if depth > MAX_DEPTH:
            raise ForeignTextError(_TOO_DEEP)
    if not any_text:
        check_texts(value)
    return value


def _int(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ForeignTextError(f"a number of {len(text)} digits")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ForeignTextError(f"a number that is too large ({shortened(text)})")
    return value


def _no_number(name: str) -> float:
    raise ForeignTextError(f"{name}, which JSON does not have")


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ForeignTextError(f"{shortened(twice)} is given twice")
    return found


def _levels(value: Any) -> Iterator[list[Any]]:
    """All parts of a value, keys too, level by level."""
    level = [value]
    while level:
        yield level
        level = [
            part
            for found in level
            if isinstance(found, dict | list)
            for part in ([*found, *found.values()] if isinstance(found, dict) else found)
        ]


def check_texts(value: Any) -> None:
    """Refuse a value of `parse_json` that has a text with control characters; ForeignTextError names the text."""
    for level in _levels(value):
        for found in level:
            if isinstance(found, str) and not is_printable(found):
                raise ForeignTextError(f"{shortened(found)} has a control character")


def is_name(text: str) -> bool:
    """Whether a text can be part of a file's name and is no path."""
    return (
        is_printable(text)
        and 0 < len(text.encode()) <= _MAX_NAME_BYTES
        and not text.isspace()
        and not set(text) & set("/\\")
        and text.strip(".") != ""
    )


def shortened(text: str, most: int = 60) -> str:
    """A text in quotes for a message: on one line, whatever is in it."""
    return repr(text if len(text) <= most else f"{text[:most]}…")
