"""Names of files as people, logs and services can take them, whatever bytes they are made of."""

import unicodedata

# Controls (a line break in a name, an escape sequence), bytes that are no UTF-8, and Unicode's own line breaks.
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def printable(text: object) -> str:
    r"""Text in one line that can be encoded; what is no character to see becomes an escape: ``\n``, ``\udcff``."""
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(_escaped(one) if unicodedata.category(one) in _HIDDEN else one for one in shown)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
