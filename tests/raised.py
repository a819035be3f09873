"""What a refused input raises: its type and its fields, never the wording of its line."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from sepcore.errors import StemworksError

E = TypeVar("E", bound=StemworksError)


@contextmanager
def raises(
    kind: type[E],
    *named: object,
    path: str | os.PathLike[str] | None = None,
    hint: object = "",
) -> Iterator[pytest.ExceptionInfo[E]]:
    """The block ends with an error of exactly this type, in one line that names what it is about.

    Args:
        kind: The type.
        named: What the problem must name: the row, key, flag, value or number that was given, what is allowed. Not
            prose.
        path: The file, folder or address that it must be about; unset, it may be about any.
        hint: What the hint must name, such as a flag; unset, it may say anything.
    """
    with pytest.raises(kind) as raised:
        yield raised
    error = raised.value
    assert type(error) is kind, repr(error)
    missing = [str(one) for one in named if str(one) not in error.problem]
    assert not missing, f"{missing} not in {error.problem!r}"
    assert path is None or str(error.path) == str(path), f"about {error.path}, not {path}: {error}"
    assert str(hint) in error.hint, f"{hint} not in {error.hint!r}"
