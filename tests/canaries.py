"""Secrets in the environment of every test and of every command that tests start, which nothing may tell or keep."""

import os
from pathlib import Path

_CANARY = "canary-7d1f09b2c4"
SECRETS = {
    "GITHUB_TOKEN": _CANARY,
    "PREFECT_API_AUTH_STRING": f"canary:{_CANARY}",
    "MLFLOW_TRACKING_PASSWORD": _CANARY,
    "AWS_SECRET_ACCESS_KEY": _CANARY,
}
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
                content = b"" if path.suffix in _NO_TEXT or not path.is_file() else path.read_bytes()
            except OSError:  # removed meanwhile, or made unreadable by its test
                continue
            if _CANARY in str(path) or _CANARY.encode() in content:
                found.append(str(path))
    return found
