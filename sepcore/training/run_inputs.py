"""What a run is made from beside its config: songs, initial weights, random draws; other ones make another run."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.random_numbers import DRAWS_VERSION


@dataclass(frozen=True)
class RunInputs:
    """Fingerprints of what decides a run's weights, and which of them are the best.

    Attributes:
        songs: Of the cached songs, by part: ``training`` and ``validation``.
        initial_weights: Of the weights that `init_from` names, wherever they lie; None without.
        draws: Version of the random draws.
    """

    songs: Mapping[str, str]
    initial_weights: str | None = None
    draws: int = DRAWS_VERSION

    def differences(self, now: Self) -> list[str]:
        """In words, what of these is not as it is now."""
        parts = [f"other {part} songs" for part in self.songs if self.songs[part] != now.songs.get(part)]
        if self.initial_weights != now.initial_weights:
            parts.append("other initial weights")
        if self.draws != now.draws:
            parts.append("an earlier version's random draws" if self.draws < now.draws else "a later version's draws")
        return parts

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, of JSON's types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; raises KeyError or TypeError for something else."""
        weights = content["initial_weights"]
        songs = {str(part): str(content["songs"][part]) for part in ("training", "validation")}
        return cls(songs, None if weights is None else str(weights), int(content["draws"]))


def run_fingerprint(config: ModelConfig, inputs: RunInputs) -> str:
    """Twelve hex digits of all that makes a run the one it is: the keys that decide weights, and its inputs."""
    made_from = {"config": config.deciding_keys(), "inputs": inputs.to_dict()}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]


def config_of_finished(trained: ModelConfig, now: ModelConfig) -> ModelConfig:
    """The config of a finished run that is found again with the same `ModelConfig.deciding_keys`.

    What is done with its weights, and where things are, is as it is said now; how it was trained stays as it was.
    """
    as_it_was = (
        "train_max_steps",
        "save_checkpoints_steps",
        "save_summary_steps",
        "throttle_secs",
        "validation_songs",
        "gpu_memory_mb",
        "cache_format",
    )
    return now.model_copy(update={field: getattr(trained, field) for field in as_it_was})
