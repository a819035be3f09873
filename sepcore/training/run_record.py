"""What a run folder notes of its training: what the run is made from, and how it came out once it is finished."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.draws import DRAWS_VERSION


@dataclass(frozen=True)
class RunInputs:
    """Fingerprints of what, beside its config, decides a run's weights and which of them are the best.

    Other inputs make another run.

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


@dataclass(frozen=True)
class TrainingResult:
    """How a training ended.

    Attributes:
        steps: Steps done.
        ended_early: Whether ``patience`` ended it.
        model_step: Step of the weights that became the model.
        choice_note: Why these are not the weights that `model_choice` asks for; None if they are.
    """

    steps: int
    ended_early: bool
    model_step: int
    choice_note: str | None = None


@dataclass(frozen=True)
class FinishedRun:
    """What `done.json` says of a finished run.

    Attributes:
        name: Of the model.
        steps: Training steps that were done.
        dataset: Fingerprint of the training chunks.
        mlflow_run_id: Of its MLflow run; None if there is none.
        facts: How it came about: what a model card says of it.
        data: Paths of the manifests on this machine: ``train_csv``, ``data_dir``, …
        inputs: What it is made from; None of a run of an earlier version.
        ended_early: Whether ``patience`` ended it.
        test_songs: Fingerprint of the songs of its test set, whose manifest may change; None if it has none.
        choice_note: As in `TrainingResult`.
    """

    name: str
    steps: int
    dataset: str
    mlflow_run_id: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    inputs: RunInputs | None = None
    ended_early: bool = False
    test_songs: str | None = None
    choice_note: str | None = None

    @property
    def model_step(self) -> int:
        """Training step of the weights that became the model."""
        return int(self.facts.get("weights", self.steps))

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` takes, of JSON's types; without what there is none of, but for ``mlflow_run_id``."""
        always = ("name", "steps", "dataset", "mlflow_run_id")
        content = asdict(self)
        return {key: value for key, value in content.items() if key in always or value}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """What `to_dict` gave; raises KeyError, TypeError, ValueError or AttributeError for something else."""
        return cls(
            name=str(content["name"]),
            steps=int(content["steps"]),
            dataset=str(content["dataset"]),
            mlflow_run_id=_text_or_none(content, "mlflow_run_id"),
            facts={str(key): str(value) for key, value in content.get("facts", {}).items()},
            data={str(key): str(value) for key, value in content.get("data", {}).items()},
            inputs=RunInputs.from_dict(content["inputs"]) if "inputs" in content else None,
            ended_early=bool(content.get("ended_early")),
            test_songs=_text_or_none(content, "test_songs"),
            choice_note=_text_or_none(content, "choice_note"),
        )


def _text_or_none(content: Mapping[str, Any], key: str) -> str | None:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, but must be a text")
    return value


def run_fingerprint(config: ModelConfig, inputs: RunInputs) -> str:
    """Twelve hex digits of all that makes a run the one it is: the keys that decide weights, and its inputs."""
    made_from = {"config": config.deciding_keys(), "inputs": inputs.to_dict()}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:12]


def config_of_finished(trained: ModelConfig, now: ModelConfig) -> ModelConfig:
    """The config of a finished run, updated from a config with the same `ModelConfig.deciding_keys`.

    Keys about using the weights and about places are taken from ``now``; those about the training stay as they were.
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
