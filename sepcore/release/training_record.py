"""How a model was trained, as its run or its release says: config, data, code and the scores it reached."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sepcore.config.load import load_config, model_name, parse_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import ConfigError, DatasetError, ReleaseError
from sepcore.evaluation.run_scores import run_scores
from sepcore.evaluation.scores import ScoreSummary
from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.provider.checksum import file_sha256
from sepcore.system.archive_reader import is_plain_file, member_blocks, open_archive, read_member
from sepcore.system.foreign import check_texts, is_name, parse_json, read_bounded, shortened
from sepcore.system.os_errors import fix_for
from sepcore.system.printable import printable
from sepcore.training import run_record
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import RunInputs

METRICS_FILE = "metrics.json"
DONE_FILE = "done.json"
INIT_FROM = "init_from"
"""The fact that names the model whose weights a training started from."""
# The keys of a config that are paths: they lead nowhere on another machine, and somebody else's lead astray.
_PATH_KEYS = (
    *("train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache"),
    *("model_dir", "init_from"),
)
_TRAINING = "training"
_WEIGHTS = ".data-"


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


def metrics_text(run: ReleasableRun) -> str:
    """The text of ``metrics.json``: the scores as in ``scores.json`` if there are any, and how it was trained."""
    scores: dict[str, Any] = json.loads(run.scores.to_json()) if run.scores else {}
    training = {
        "name": run.name,
        "steps": run.steps,
        "dataset": run.dataset,
        "mlflow_run_id": run.mlflow_run_id,
        "facts": dict(run.facts),
        **({"inputs": run.inputs.to_dict()} if run.inputs else {}),
    }
    return json.dumps({**scores, _TRAINING: training}, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class TrainingRecord:
    """What it takes to train a model again.

    Attributes:
        name: Of the model.
        config: Its config. Of a release, or somebody else's run, it names no path, whatever stands in there.
        dataset: Fingerprint of the chunks it was trained on.
        scores: On its test set; None if it was never scored.
        facts: See `ReleasableRun.facts`.
        data: See `ReleasableRun.data`; empty of a release or somebody else's run.
        source: The run's folder, or the release's tarball.
        inputs: What it was made from; None of an earlier version's.
        foreign: Whether its paths are not this machine's own.
    """

    name: str
    config: ModelConfig
    dataset: str
    scores: ScoreSummary | None
    facts: Mapping[str, str]
    data: Mapping[str, str]
    source: Path
    inputs: RunInputs | None = None
    foreign: bool = False

    @classmethod
    def of_run(cls, folder: Path, *, foreign: bool = False) -> Self:
        """Of a finished run; raises as `ReleasableRun.load` does.

        Args:
            folder: Of the run.
            foreign: Honor none of its paths, as of a release.
        """
        run = ReleasableRun.load(folder)
        if not foreign:
            return cls(run.name, run.config, run.dataset, run.scores, run.facts, run.data, folder, run.inputs)
        config, facts = _without_paths(run.config, run.facts)
        return cls(run.name, config, run.dataset, run.scores, facts, {}, folder, run.inputs, foreign=True)

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
            if not is_name(name):
                raise ValueError(f"{shortened(name)} is no model's name")
            inputs = RunInputs.from_dict(training["inputs"]) if "inputs" in training else None
            config, facts = _without_paths(load_config(tarball), facts)
            return cls(name, config, dataset, _scores(content), facts, {}, tarball, inputs, foreign=True)
        except ConfigError:
            raise
        except DatasetError as error:
            raise ReleaseError(
                f"cannot be read ({METRICS_FILE}: {error.problem})", path=tarball, hint=error.hint
            ) from error
        except OSError as error:
            hint = f"{fix_for(error, reading=True)}, or give a tarball that flows.publish made."
            raise ReleaseError(f"cannot be read ({error})", path=tarball, hint=hint, errno=error.errno) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReleaseError(
                f"does not say how it was trained ({error!r})",
                path=tarball,
                hint="Give a tarball that flows.publish made.",
            ) from error

    def weights(self) -> dict[str, str]:
        """SHA-256 of the files of its weights, by name; they are read for it."""
        if self.source.is_dir():
            files = sorted((self.source / "model").glob(f"*{_WEIGHTS}*"))
            return {file.name: file_sha256(file) for file in files}
        digests = {}
        with open_archive(self.source) as tar:
            for member in tar:
                if _WEIGHTS in member.name and is_plain_file(member):
                    digest = hashlib.sha256()
                    for block in member_blocks(tar, member):
                        digest.update(block)
                    digests[Path(member.name).name] = digest.hexdigest()
        return digests


def _without_paths(config: ModelConfig, facts: Mapping[str, str]) -> tuple[ModelConfig, dict[str, str]]:
    """A config that names no path, and facts that name the model that it was started from."""
    start = {} if config.init_from is None else {INIT_FROM: model_name(config.init_from)}
    return _with_paths(config, {}), start | dict(facts)


def released_scores(tarball: Path) -> ScoreSummary | None:
    """The scores in a release's tarball; None if the model was never scored.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return _scores(_metrics(tarball))


def _metrics(tarball: Path) -> dict[str, Any]:
    # The whole is read: a damaged number would be believed.
    content = parse_json(read_member(tarball, METRICS_FILE, check_all=True) or "{}")
    return content if isinstance(content, dict) else {}


def _scores(content: dict[str, Any]) -> ScoreSummary | None:
    return ScoreSummary.from_json(json.dumps(content), METRICS_FILE) if "stems" in content else None


def released_config(config: ModelConfig, name: str) -> str:
    """The JSON of a config as a release has it: found by the model's name, and started from a model by its name."""
    start = {} if config.init_from is None else {"init_from": model_name(config.init_from)}
    content = {key: value for key, value in json.loads(config.to_json()).items() if key not in _PATH_KEYS}
    return json.dumps({**content, **start, "model_dir": name}, indent=2, ensure_ascii=False) + "\n"


def config_to_train_again(
    config: ModelConfig, manifests: Mapping[str, Path | str], *, init_from: str | None, caches: Path | None
) -> ModelConfig:
    """The config of a training that is done again: it writes into no folder that the config names.

    Args:
        config: Of the training.
        manifests: Paths of the CSVs by their keys.
        init_from: Model whose weights it starts from.
        caches: Folder for the shards; None: those of the config, which is this machine's own.
    """
    paths: dict[str, Any] = {key: str(path) for key, path in manifests.items()}
    parts = ("training_cache", "validation_cache")
    paths |= {part: str((caches / part).absolute()) if caches else getattr(config, part) for part in parts}
    return _with_paths(config, paths | ({"init_from": init_from} if init_from is not None else {}))


def _with_paths(config: ModelConfig, paths: Mapping[str, Any]) -> ModelConfig:
    """A config with these paths alone."""
    content = {key: value for key, value in json.loads(config.to_json()).items() if key not in _PATH_KEYS}
    return parse_config(json.dumps(content | dict(paths)), "the recorded config")
