"""Types of flows' parameters: what Prefect refuses before a run begins, and shows as bounds in its form."""

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote_to_bytes

from pydantic import AfterValidator, Field

from sepcore.provider.version import parse_version
from sepcore.separator_settings import MAX_OVERLAP, MAX_SHIFTS


def _is_version(text: str) -> str:
    if parse_version(text) is None:
        raise ValueError("no semantic version such as 1.2.0 or 1.2.0-rc.1")
    return text


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


# The pattern, which Prefect's server knows, lets a little more through than the run then does.
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+].+)?$", examples=["1.0.0"]), AfterValidator(_is_version)]
Share = Annotated[float, Field(ge=0, lt=1)]
Decibels = Annotated[float, Field(ge=0, lt=100)]
Overlap = Annotated[float, Field(ge=0, le=MAX_OVERLAP)]
Shifts = Annotated[int, Field(ge=1, le=MAX_SHIFTS)]
