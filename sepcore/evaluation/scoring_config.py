"""The stems, rate and channels to score if no model gives them: of a test set and of another program's estimates."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from sepcore.config.load import parse_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES

_ACCOMPANIMENT = "accompaniment"
# The accompaniment is their sum.
_ITS_PARTS = {"drums", "bass", "other"}


def config_of_stems(stems: Sequence[str], mix_name: str = "mix", **keys: int) -> ModelConfig:
    """A config of these stems and further keys of a model's JSON; ConfigError if they are not valid."""
    content = {"mix_name": mix_name, "instrument_list": list(stems), **keys}
    return parse_config(json.dumps(content), f"stems {', '.join(stems)}")


def scoring_config(stems: Sequence[str], mixture: Path, mix_name: str = "mix") -> ModelConfig:
    """As `config_of_stems`, at a recording's own rate and channels, at most two; AudioDecodeError if unreadable."""
    audio = probe_audio(mixture)
    return config_of_stems(stems, mix_name, sample_rate=audio.sample_rate, n_channels=min(audio.num_channels, 2))


def estimated_tracks(folder: Path) -> list[Path]:
    """The folders of tracks in another program's estimates; DatasetError if there is none."""
    tracks = folder / "test" if (folder / "test").is_dir() else folder
    if not tracks.is_dir():
        raise DatasetError("no such folder", path=folder, hint="Give one with test/<track>/<stem>.wav files.")
    found = [entry for entry in sorted(tracks.iterdir()) if entry.is_dir()]
    if not found:
        raise DatasetError(
            "no folders of tracks in it", path=folder, hint="Give one with test/<track>/<stem>.wav files."
        )
    return found


def estimated_stems(folder: Path, offered: Iterable[str]) -> list[str]:
    """The stems, of those offered by a test set, that another program estimated in any track; see `FolderEstimates`.

    The accompaniment is left out if its parts are there too, since no sound may be in two stems that are scored
    together. DatasetError if there is no folder of a track, or none of the stems.
    """
    estimated = {stem for track in estimated_tracks(folder) for stem in audio_by_stem(track)}
    offered = list(offered)
    stems = [name for name in offered if name in estimated]
    if _ITS_PARTS & set(stems):
        stems = [name for name in stems if name != _ACCOMPANIMENT]
    if not stems:
        raise DatasetError(
            "has a file for none of the test set's stems",
            path=folder,
            hint=f"Add one or more of {', '.join(f'{name}.wav' for name in offered)}.",
        )
    return stems


def audio_by_stem(folder: Path) -> dict[str, list[Path]]:
    """The audio files of a track's folder by the stem that they are named after; other files are ignored."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def estimate_file(track: str, files: list[Path]) -> Path:
    """The file of a stem: its wav, otherwise the only one; DatasetError if that leaves two."""
    candidates = [path for path in files if path.suffix.lower() == ".wav"] or files
    if len(candidates) > 1:
        names = " and ".join(path.name for path in candidates)
        raise DatasetError(
            f"{track} has two estimates of {candidates[0].stem}: {names}",
            path=candidates[0].parent,
            hint="Keep one of them.",
        )
    return candidates[0]
