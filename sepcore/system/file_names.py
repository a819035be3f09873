"""Names of files and folders that are made of names of songs."""

import hashlib
import unicodedata

_LONGEST_NAME = 255  # bytes, of most file systems


def safe_name(name: str) -> str:
    """A file or folder name that is valid on any file system: the name, or a cleaned one that is unique to it."""
    cleaned = "".join(character if is_text(character) and character not in "/\\" else "_" for character in name)
    cleaned = _shortened(cleaned.lstrip(".").rstrip(". "), _LONGEST_NAME)
    if cleaned == name:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{_shortened(cleaned, _LONGEST_NAME - len(digest) - 1)}-{digest}"


def is_text(character: str) -> bool:
    """Whether it is neither a control character, such as a line break, nor a byte that is not Unicode."""
    return unicodedata.category(character) not in ("Cc", "Cs")


def _shortened(name: str, num_bytes: int) -> str:
    return name.encode()[:num_bytes].decode(errors="ignore")
