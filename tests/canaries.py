"""Secrets in the environment of every test and of every command that tests start, which nothing may tell or keep."""

import base64
import gzip
import os
import zlib
from pathlib import Path

_CANARY = "canary-7d1f09b2c4"
SECRETS = {
    "GITHUB_TOKEN": _CANARY,
    "PREFECT_API_AUTH_STRING": f"canary:{_CANARY}",
    "MLFLOW_TRACKING_PASSWORD": f"{_CANARY}\n",  # as the file of a container's secret has it
    "AWS_SECRET_ACCESS_KEY": f"/{_CANARY}",  # as one of 64 begins
}
# As they are, and as a header of HTTP has a user and a password.
_FORMS = _CANARY.encode(), base64.b64encode(f"canary:{_CANARY}".encode()).rstrip(b"=")
# Of a file that was made to fill a disk.
_MOST_BYTES = 2**26
# Audio, spectrograms and weights, which hold no text: they are most of what tests write.
_NO_TEXT = {
    ".wav",
    ".flac",
    ".mp3",
    ".mp4",
    ".m4a",
    ".npz",
    ".tfrecord",
    ".bin",
    ".data-00000-of-00001",
    ".h5",
    ".onnx",
}


def told_in(folder: Path) -> list[str]:
    """The files below a folder in whose name or content a secret is."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                content = b"" if path.suffix in _NO_TEXT or not path.is_file() else _content(path)
            except (OSError, EOFError, zlib.error):  # removed meanwhile, made unreadable or damaged by its test
                continue
            if _CANARY in str(path) or any(form in content for form in _FORMS):
                found.append(str(path))
    return found


def _content(path: Path) -> bytes:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        return file.read(_MOST_BYTES)
