"""What is scored where no model says it: stems, rate and channels of a test set, and another program's estimates."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from sepcore.config.load import parse_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES

_ACCOMPANIMENT = "accompaniment"
# Beside these the accompaniment, which is their sum, would be a stem twice.
_PARTS_OF_IT = {"drums", "bass", "other"}


def config_of_stems(stems: Sequence[str], mix_name: str = "mix", **keys: int) -> ModelConfig:
    """A config of the given stems and further keys of a model's JSON; ConfigError if they cannot be a config's."""
    content = {"mix_name": mix_name, "instrument_list": list(stems), **keys}
    return parse_config(json.dumps(content), f"stems {', '.join(stems)}")


def scoring_config(stems: Sequence[str], mixture: Path, mix_name: str = "mix") -> ModelConfig:
    """A config of the given stems at a recording's own rate and channels, at most two.

    Raises:
        AudioDecodeError: the recording cannot be read.
        ConfigError: the stems cannot be those of a config.
    """
    audio = probe_audio(mixture)
    return config_of_stems(stems, mix_name, sample_rate=audio.sample_rate, n_channels=min(audio.num_channels, 2))


def estimated_tracks(folder: Path) -> list[Path]:
    """The folders of tracks among another program's estimates, at least one; DatasetError if there is none."""
    tracks = folder / "test" if (folder / "test").is_dir() else folder
    if not tracks.is_dir():
        raise DatasetError("no such folder", path=folder, hint="Give one with test/<track>/<stem>.wav files.")
    found = [entry for entry in sorted(tracks.iterdir()) if entry.is_dir()]
    if not found:
        raise DatasetError(
            "no folders of tracks in it", path=folder, hint="Expected are test/<track>/<stem>.wav files."
        )
    return found


def estimated_stems(folder: Path, offered: Iterable[str]) -> list[str]:
    """Which stems of a test set another program estimated, by the files of all its tracks.

    Args:
        folder: In museval's layout, ``<folder>/test/<track>/<stem>.wav``; ``test`` may be left out.
        offered: The stems that the test set has.

    Returns:
        Those of them that have a file in any track, in their order; not the accompaniment where its parts are there
        too, since no sound may be in two of the stems that are scored together.

    Raises:
        DatasetError: no folder of a track, or none of the stems in it.
    """
    there = {stem for track in estimated_tracks(folder) for stem in audio_by_stem(track)}
    offered = list(offered)
    stems = [name for name in offered if name in there]
    if _PARTS_OF_IT & set(stems):
        stems = [name for name in stems if name != _ACCOMPANIMENT]
    if not stems:
        raise DatasetError(
            "has a file for none of the test set's stems",
            path=folder,
            hint=f"Add one or more of {', '.join(f'{name}.wav' for name in offered)}.",
        )
    return stems


def audio_by_stem(folder: Path) -> dict[str, list[Path]]:
    """The audio files of a track's folder by the stem that they are named after; whatever else lies there is none."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file():
            found.setdefault(path.stem, []).append(path)
    return found


def estimate_file(track: str, files: list[Path]) -> Path:
    """The file of a stem: its wav, else the only one; DatasetError where that leaves two."""
    candidates = [path for path in files if path.suffix.lower() == ".wav"] or files
    if len(candidates) > 1:
        names = " and ".join(path.name for path in candidates)
        raise DatasetError(
            f"{track} has two estimates of {candidates[0].stem}: {names}",
            path=candidates[0].parent,
            hint="Keep one of them.",
        )
    return candidates[0]
