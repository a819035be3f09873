"""How a model was trained, as its run or its release says: config, data, code and the scores it reached."""

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sepcore.archive_member import read_member
from sepcore.config import ModelConfig
from sepcore.config_file import load_config
from sepcore.errors import DatasetError, ReleaseError
from sepcore.evaluation.scores import ScoreSummary
from sepcore.provider.checksum import file_sha256
from sepcore.release.finished_run import FinishedRun

METRICS_FILE = "metrics.json"
_TRAINING = "training"
_WEIGHTS = ".data-"


def metrics_text(run: FinishedRun) -> str:
    """The text of ``metrics.json``: the scores as in ``scores.json`` if there are any, and how it was trained."""
    scores: dict[str, Any] = json.loads(run.scores.to_json()) if run.scores else {}
    training = {
        "name": run.name,
        "steps": run.steps,
        "dataset": run.dataset,
        "mlflow_run_id": run.mlflow_run_id,
        "facts": dict(run.facts),
    }
    return json.dumps({**scores, _TRAINING: training}, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class TrainingRecord:
    """What it takes to train a model again.

    Attributes:
        name: Of the model.
        config: Its config. Of a release it names no manifests.
        dataset: Fingerprint of the chunks it was trained on.
        scores: On its test set; None if it was never scored.
        facts: See `FinishedRun.facts`.
        data: See `FinishedRun.data`; empty of a release.
        weights: SHA-256 of the files of its weights, by name.
    """

    name: str
    config: ModelConfig
    dataset: str
    scores: ScoreSummary | None
    facts: Mapping[str, str]
    data: Mapping[str, str]
    weights: Mapping[str, str]

    @classmethod
    def of_run(cls, folder: Path) -> Self:
        """Of a finished run; raises as `FinishedRun.load` does."""
        run = FinishedRun.load(folder)
        weights = {file.name: file_sha256(file) for file in run.checkpoint.parent.glob(f"*{_WEIGHTS}*")}
        return cls(run.name, run.config, run.dataset, run.scores, run.facts, run.data, weights)

    @classmethod
    def of_release(cls, tarball: Path) -> Self:
        """Of a release's tarball.

        Raises:
            ReleaseError: one line, if it is no release of this project.
            ConfigError: if its config cannot be used.
        """
        try:
            content = _metrics(tarball)
            training = content[_TRAINING]
            facts = {str(key): str(value) for key, value in training["facts"].items()}
            name, dataset = str(training["name"]), str(training["dataset"])
            return cls(name, load_config(tarball), dataset, _scores(content), facts, {}, _weights_in(tarball))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, DatasetError):
                raise ReleaseError(f"{tarball}: {error}") from error
            raise ReleaseError(
                f"{tarball}: does not say how it was trained ({error!r}); give a tarball that flows.publish made."
            ) from error


def released_scores(tarball: Path) -> ScoreSummary | None:
    """The scores in a release's tarball; None if the model was never scored.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return _scores(_metrics(tarball))


def _metrics(tarball: Path) -> dict[str, Any]:
    content = json.loads(read_member(tarball, METRICS_FILE) or "{}")
    return content if isinstance(content, dict) else {}


def _scores(content: dict[str, Any]) -> ScoreSummary | None:
    return ScoreSummary.from_json(json.dumps(content), METRICS_FILE) if "stems" in content else None


def _weights_in(tarball: Path) -> dict[str, str]:
    digests = {}
    with tarfile.open(tarball, "r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member) if _WEIGHTS in member.name else None
            if file is not None:
                digests[Path(member.name).name] = hashlib.sha256(file.read()).hexdigest()
    return digests
