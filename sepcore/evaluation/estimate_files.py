"""The files of another program's estimates: which of a folder are audio, and which of them is a stem's."""

from pathlib import Path

from sepcore.errors import DatasetError
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES

_FIRST = ".wav"


def audio_by_stem(folder: Path) -> dict[str, list[Path]]:
    """The audio files of a track's folder by the stem that they are named after; whatever else lies there is none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def estimate_file(track: str, files: list[Path]) -> Path:
    """The file of a stem: its wav, else the only one; DatasetError where that leaves two."""
    candidates = [path for path in files if path.suffix.lower() == _FIRST] or files
    if len(candidates) > 1:
        names = " and ".join(path.name for path in candidates)
        raise DatasetError(
            f"{track} has two estimates of {candidates[0].stem}: {names}",
            path=candidates[0].parent,
            hint="Keep one of them.",
        )
    return candidates[0]
