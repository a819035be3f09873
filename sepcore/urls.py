"""URLs where a path is expected: pathlib would take them for a folder that is not there."""

import re
from pathlib import Path

# Two letters at least: "C:/" is a drive. One slash is what pathlib leaves of two.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")

NEEDS_PATH = "is a URL, a path is needed; mount the store as a file system (docs/scaling.md) and give the path there"
"""What is said of one."""


def is_url(text: str) -> bool:
    """Whether a text is a URL such as ``s3://bucket/song.wav``, and no path; a folder may well be called ``Live:``."""
    return _URL.match(text) is not None and not Path(text.partition("/")[0]).exists()
