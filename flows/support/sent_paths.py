"""Paths as Prefect can keep them."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes


def sendable(path: Path) -> str:
    """A path as Prefect can keep it; one that is no UTF-8 becomes a ``file:`` URL, which `sent_path` reads."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return path.absolute().as_uri()
    return text


def sent_path(path: Path) -> Path:
    """The path that was made `sendable`."""
    text = str(path)
    if not text.startswith("file:/"):
        return path
    return Path(os.fsdecode(unquote_to_bytes(f"/{text.removeprefix('file:').lstrip('/')}")))
