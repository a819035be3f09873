"""Text of others, such as names of files, as people, logs and services can take it: one line that can be encoded."""

import unicodedata
from collections.abc import Sequence

# Controls (a line break in a name, an escape sequence), bytes that are no UTF-8, and Unicode's own line breaks.
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_printable(text: str) -> bool:
    """Whether a text has no control characters, separators of lines or halves of characters."""
    return text.isprintable() or not any(unicodedata.category(character) in _HIDDEN for character in text)


def printable(text: object) -> str:
    r"""Text in one line that can be encoded; what is no character to see becomes an escape: ``\n``, ``\udcff``."""
    shown = str(text)
    return shown if shown.isprintable() else "".join(one if is_printable(one) else _escaped(one) for one in shown)


def first_few(texts: Sequence[str], most: int, *, separator: str = ", ") -> str:
    """The first ``most`` of some texts, and how many more there are: ``a, b and 3 more``."""
    shown = separator.join(texts[:most])
    left = len(texts) - most
    return f"{shown} and {left} more" if left > 0 else shown


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
