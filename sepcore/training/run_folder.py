"""The folder of one training: config, checkpoints, model, scores, and `done.json`, which says that it is finished."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import filelock

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError
from sepcore.system.atomic import write_text
from sepcore.training.run_record import FinishedRun, RunInputs, run_fingerprint

MADE_FROM = "made_from"
"""Folder of a file for each scored track, of the name of its score file: what this project scored is known by it."""

# The summary first: whatever is left after a kill, nobody takes it for scores of the run.
_OF_ALL_TRACKS = ("scores.json", "frames.parquet", "tracks.parquet", "report.html", "boxplot.png", "boxplot.svg")

# Behind the twelve digits of the fingerprint, if a run was started afresh.
_FRESH_NUMBER = re.compile(r"(?<=-[0-9a-f]{12})-\d+$")


@dataclass(frozen=True)
class RunFolder:
    """Where the parts of a run lie; `path` need not exist yet."""

    path: Path

    @classmethod
    def of(cls, work_dir: Path, name: str, config: ModelConfig, inputs: RunInputs) -> "RunFolder":
        """The folder of a config trained on these songs and so on: the same again leads to the same folder."""
        return cls(work_dir / f"{name}-{run_fingerprint(config, inputs)}")

    @property
    def lineage(self) -> str:
        """The folder's name without the number that a fresh start has added."""
        return _FRESH_NUMBER.sub("", self.path.name)

    @property
    def checkpoints(self) -> Path:
        """Weights with optimizer slots, by step."""
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        """The chosen weights as a checkpoint that Spleeter reads."""
        return self.path / "model"

    @property
    def best(self) -> Path:
        """The weights of the best validation, as `model`."""
        return self.path / "best"

    @property
    def last(self) -> Path:
        """The weights of the last step, as `model`."""
        return self.path / "last"

    @property
    def metrics(self) -> Path:
        """Losses, scores and speed by step; see `sepcore.training.metrics_log`."""
        return self.path / "metrics.jsonl"

    @property
    def examples(self) -> Path:
        """Validation songs to hear and see, by step."""
        return self.path / "examples"

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
        """Held by the process that trains here; see `locked`."""
        return self.path / ".lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training here; TrainingError if one does. May be nested within a process."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(self.lock, timeout=0, is_singleton=True):
                yield
        except filelock.Timeout as error:
            raise TrainingError(
                "another process is training here", path=self.path, hint="Wait for it, or use another --work-dir."
            ) from error

    @property
    def _done(self) -> Path:
        return self.path / "done.json"

    def start(self, config: ModelConfig, inputs: RunInputs | None = None) -> None:
        """Training begins or goes on: write what it is made from, and the config.

        By the config the folder can be named wherever a model is asked for.
        """
        if inputs is not None:
            self.note_inputs(inputs)
        self.write_config(config)

    def note_inputs(self, inputs: RunInputs) -> None:
        """Write what the run is made from, and that it is the last one that was worked in."""
        turn = 1 + max((RunFolder(file.parent).turn() for file in self._siblings()), default=0)
        write_text(self._identity, json.dumps({"turn": turn, **inputs.to_dict()}, indent=2) + "\n")
        self._dataset_before.unlink(missing_ok=True)

    def write_config(self, config: ModelConfig) -> None:
        """Write ``config.json``."""
        write_text(self.path / "config.json", config.to_json() + "\n")

    @property
    def _identity(self) -> Path:
        return self.path / "identity.json"

    def _siblings(self) -> Iterator[Path]:
        return self.path.parent.glob(f"*/{self._identity.name}")

    @property
    def _dataset_before(self) -> Path:
        """What earlier versions had instead, with the fingerprint of the training songs only."""
        return self.path / ".dataset"

    def inputs(self) -> RunInputs | None:
        """What it is made from, as `start` was given it; None of a run of an earlier version, which did not note it."""
        content = self._noted()
        return None if content is None else RunInputs.from_dict(content)

    def turn(self) -> int:
        """When a training last began or went on here, counted over the folders beside it; 0 if that was not noted."""
        try:
            content = self._noted()
        except TrainingError:  # told where the run is asked for; it keeps no other training from its turn
            content = None
        return 0 if content is None else int(content["turn"])

    def _noted(self) -> dict[str, Any] | None:
        if not self._identity.is_file():
            return None
        try:
            content: dict[str, Any] = json.loads(self._identity.read_text("utf-8"))
            RunInputs.from_dict(content)
            return content | {"turn": int(content["turn"])}
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(
                f"cannot be read ({error!r})", path=self._identity, hint="Restore it, or move the folder away."
            ) from error

    def dataset(self) -> str:
        """Fingerprint of the training songs; empty if it was never noted."""
        if inputs := self.inputs():
            return inputs.songs["training"]
        return self._dataset_before.read_text("utf-8") if self._dataset_before.is_file() else ""

    def finished(self) -> FinishedRun | None:
        """What `finish` wrote, or None while the run is not finished; TrainingError if it is damaged."""
        if not self._done.is_file():
            return None
        try:
            return FinishedRun.from_dict(json.loads(self._done.read_text("utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TrainingError(
                f"cannot be read ({error!r})", path=self._done, hint="Restore it, or move the folder away."
            ) from error

    def finish(self, finished: FinishedRun) -> None:
        """Mark the run as finished; the last thing that a training writes."""
        write_text(self._done, json.dumps(finished.to_dict(), indent=2) + "\n")

    def is_done(self, config: ModelConfig) -> bool:
        """Whether there is nothing left to train: all steps are done, or ``patience`` ended it early."""
        finished = self.finished()
        return finished is not None and (finished.steps >= config.train_max_steps or finished.ended_early)

    def note_data(self, data: Mapping[str, str], *, test_songs: str | None = None) -> None:
        """Keep of a finished run where its manifests are now, and which songs it is tested on; see `FinishedRun`."""
        before = self.finished()
        if before is not None and before != (now := replace(before, data=dict(data), test_songs=test_songs)):
            self.finish(now)

    def reopen(self) -> None:
        """Training begins or goes on: the run is not finished any more, and its scores are of other weights."""
        self._done.unlink(missing_ok=True)
        self.scores.unlink(missing_ok=True)
        self._remove_evaluation()

    def _remove_evaluation(self) -> None:
        """Remove what an evaluation wrote of the model's scores.

        What does not depend on the model stays (its baselines, decoded songs), and so does what others put there.
        """
        for name in _OF_ALL_TRACKS:
            (self.evaluation / name).unlink(missing_ok=True)
        for marker in (self.evaluation / MADE_FROM).glob("*.json"):
            (self.evaluation / "test" / marker.name).unlink(missing_ok=True)
            marker.unlink()


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
    raise TrainingError(
        f"{run}: {problem} in {work_dir}/ (there: {names})", hint="Give a run's folder or its whole name."
    )
