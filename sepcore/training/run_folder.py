"""The folder of one training: config, checkpoints, model, scores, and `done.json`, which says that it is finished."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sepcore.atomic import write_text
from sepcore.config import ModelConfig
from sepcore.errors import TrainingError


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie; `path` need not exist yet."""

    path: Path

    @classmethod
    def of(cls, work_dir: Path, name: str, config: ModelConfig, dataset: str) -> "RunFolder":
        """The folder of a config trained on a dataset (by fingerprint): the same again leads to the same folder."""
        return cls(work_dir / f"{name}-{config.fingerprint()[:6]}{dataset[:6]}")

    @property
    def checkpoints(self) -> Path:
        """Weights with optimizer slots, by step."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The chosen weights as a checkpoint that Spleeter reads."""
        return self.path / "model"

    @property
    def scores(self) -> Path:
        """Medians on the test set, where there is one."""
        return self.path / "scores.json"

    @property
    def evaluation(self) -> Path:
        """Scores of every track."""
        return self.path / "evaluation"

    @property
    def lock(self) -> Path:
        """Held by the process that trains here."""
        return self.path / ".lock"

    @property
    def _done(self) -> Path:
        return self.path / "done.json"

    def start(self, config: ModelConfig) -> None:
        """Write the config, so that the folder can be named wherever a model is asked for."""
        write_text(self.path / "config.json", config.to_json() + "\n")

    def finished(self) -> dict[str, Any] | None:
        """What `finish` wrote, or None while the run is not finished."""
        if not self._done.is_file():
            return None
        content: dict[str, Any] = json.loads(self._done.read_text("utf-8"))
        return content

    def finish(self, *, name: str, steps: int, dataset: str, mlflow_run_id: str | None) -> None:
        """Mark the run as finished; the last thing that is written."""
        content = {"name": name, "steps": steps, "dataset": dataset, "mlflow_run_id": mlflow_run_id}
        write_text(self._done, json.dumps(content, indent=2) + "\n")

    def reopen(self) -> None:
        """Training begins or goes on: the run is not finished any more, and its scores are of other weights."""
        self._done.unlink(missing_ok=True)
        self.scores.unlink(missing_ok=True)


def find_run(run: str | Path, work_dir: Path) -> RunFolder:
    """The folder of a run named by its folder, its folder's name in ``work_dir``, or the beginning of that name.

    Raises:
        TrainingError: if there is no such run, or more than one.
    """
    if (Path(run) / "config.json").is_file():
        return RunFolder(Path(run))
    found = sorted(folder.parent for folder in work_dir.glob("*/config.json"))
    named = [folder for folder in found if folder.name == str(run)] or [
        folder for folder in found if folder.name.startswith(str(run))
    ]
    if len(named) == 1:
        return RunFolder(named[0])
    names = ", ".join(folder.name for folder in named or found) or "none yet"
    problem = "names more than one run" if named else "no such run"
    raise TrainingError(f"{run}: {problem} in {work_dir}/ (there: {names}); give a run's folder or its whole name.")
