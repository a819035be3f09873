"""Names of files and folders that are made of names of songs."""

import hashlib
import unicodedata

LONGEST_NAME = 255
"""Of a file or folder on most file systems, in bytes."""


def safe_name(name: str) -> str:
    """A file or folder name that is valid on any file system: the name, or a cleaned one that is unique to it."""
    cleaned = "".join(character if is_text(character) and character not in "/\\" else "_" for character in name)
    cleaned = shortened(cleaned.lstrip(".").rstrip(". "), LONGEST_NAME)
    if cleaned == name:
        return name
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:8]
    return f"{shortened(cleaned, LONGEST_NAME - len(digest) - 1)}-{digest}"


def is_text(character: str) -> bool:
    """Whether it is neither a control character, such as a line break, nor a byte that is not Unicode."""
    return unicodedata.category(character) not in ("Cc", "Cs")


def shortened(name: str, num_bytes: int) -> str:
    """The start of a name that fits into so many bytes, in whole characters."""
    encoded = name.encode(errors="surrogateescape")
    return name if len(encoded) <= num_bytes else encoded[:num_bytes].decode(errors="ignore")
