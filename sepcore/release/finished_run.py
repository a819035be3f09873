"""What a release takes from a run folder: its config, checkpoint, scores and the marker that it is finished."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sepcore.config.load import load_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import DatasetError, ReleaseError
from sepcore.evaluation.run_scores import run_scores
from sepcore.evaluation.scores import ScoreSummary
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.system.foreign import check_texts, is_name, parse_json, read_bounded, shortened
from sepcore.system.printable import printable
from sepcore.training import run_record
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import RunInputs

DONE_FILE = "done.json"


@dataclass(frozen=True)
class ReleasableRun:
    """A training that has ended.

    Attributes:
        name: Of the model.
        steps: Training steps behind the weights.
        dataset: Fingerprint of the dataset.
        config: The config it was trained with.
        checkpoint: Prefix of the checkpoint (``…/model`` of ``…/model.index``).
        scores: On its test set, of these weights and this config; None if there are none.
        mlflow_run_id: Of the run's page.
        facts: What is known of how it came about, for people and for `reproduce`: ``commit``, ``hardware``, …
        data: Paths of the manifests on the machine that trained; in no release.
        inputs: What it is made from; None of a run of an earlier version.
        scores_note: Why there are no scores, or what is not known of them; see `RunScores`.
    """

    name: str
    steps: int
    dataset: str
    config: ModelConfig
    checkpoint: Path
    scores: ScoreSummary | None
    mlflow_run_id: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    scores_note: str = ""
    inputs: RunInputs | None = None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a run folder.

        Raises:
            ReleaseError: one line, if it is no run folder, or the run is not finished or damaged.
            ConfigError: if its config cannot be used.
        """
        if not (folder / "config.json").is_file():
            raise ReleaseError(
                "not a run folder (it has no config.json)", path=folder, hint="Give the folder of a training run."
            )
        if not (folder / DONE_FILE).is_file():
            raise ReleaseError(
                f"this run is not finished (it has no {DONE_FILE})",
                path=folder,
                hint="Run the same training command again.",
            )
        checkpoint = find_checkpoint(folder / "model")
        if checkpoint is None:
            raise ReleaseError("holds no complete checkpoint", path=folder / "model", hint="Run the training again.")
        try:
            # Its folders may be called anything; what is shown or released of them is escaped.
            done = run_record.FinishedRun.from_dict(parse_json(read_bounded(folder / DONE_FILE), any_text=True))
            if not is_name(done.name):
                raise ValueError(f"{shortened(done.name)} is no model's name")
            check_texts([done.dataset, done.mlflow_run_id])
            facts = {printable(key): printable(value) for key, value in done.facts.items()}
            scores = run_scores(RunFolder(folder))
        except DatasetError as error:
            raise ReleaseError(
                error.problem, path=error.path, hint=f"{error.hint} Or run the same training command again."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReleaseError(
                f"cannot be read ({error!r})", path=folder / DONE_FILE, hint="Run the same training command again."
            ) from error
        config = load_config(folder)
        return cls(
            name=done.name,
            steps=done.steps,
            dataset=done.dataset,
            config=config,
            checkpoint=checkpoint,
            scores=scores.summary,
            mlflow_run_id=done.mlflow_run_id,
            facts=facts,
            data=done.data,
            scores_note=scores.note,
            inputs=done.inputs,
        )


@dataclass(frozen=True)
class Candidate:
    """A model that may be released: judged, and not written yet.

    Attributes:
        name: Of the model.
        version: Of the release.
        run: What it is made from.
        forced: Why the gate would have refused it, if it is published all the same.
    """

    name: str
    version: str
    run: ReleasableRun
    forced: str | None


@dataclass(frozen=True)
class Published(Candidate):
    """A model in a release.

    Attributes:
        tarball: Its file.
        sha256: Of the tarball, 64 hex digits.
    """

    tarball: Path
    sha256: str
