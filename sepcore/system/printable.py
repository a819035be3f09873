"""Show foreign text, such as names of files, on one line that can be encoded."""

import unicodedata
from collections.abc import Sequence

# Controls (a line break in a name, an escape sequence), bytes that are no UTF-8, and Unicode's own line breaks.
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def is_printable(text: str) -> bool:
    """Whether a text has no control characters, line separators or surrogates."""
    return text.isprintable() or not any(unicodedata.category(character) in _HIDDEN for character in text)


def printable(text: object) -> str:
    r"""Text on one line that can be encoded; invisible characters become escapes: ``\n``, ``\udcff``."""
    return "".join(one if is_printable(one) else one.encode("unicode_escape").decode("ascii") for one in str(text))


def first_few(texts: Sequence[str], most: int, *, separator: str = ", ") -> str:
    """The first ``most`` of some texts, and how many more there are: ``a, b and 3 more``."""
    shown = separator.join(texts[:most])
    left = len(texts) - most
    return f"{shown} and {left} more" if left > 0 else shown
