"""How a model was trained, as its run or its release says: config, data, code and the scores it reached."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import FinishedRun, RunInputs

METRICS_FILE = "metrics.json"
DONE_FILE = "done.json"
INIT_FROM = "init_from"
"""The fact that names the model whose weights a training started from."""
# The keys of a config that are paths: they mean nothing on another machine, and could do harm on this one.
_PATH_KEYS = (
    *("train_csv", "validation_csv", "test_csv", "training_cache", "validation_cache"),
    *("model_dir", "init_from"),
)
_TRAINING = "training"
_TRAIN_AGAIN = "Run the same training command again."
_WEIGHTS = ".data-"
_RECORDED = "the recorded config"


@dataclass(frozen=True)
class ReleasableRun:
    """A finished run and what a release takes from its folder.

    Attributes:
        record: Its ``done.json``; all its texts but the paths of ``data`` can be printed.
        config: The config it was trained with.
        checkpoint: Prefix of the checkpoint (``…/model`` of ``…/model.index``).
        scores: On its test set, of these weights and this config; None if there are none.
        scores_note: See `RunScores`.
    """

    record: FinishedRun
    config: ModelConfig
    checkpoint: Path
    scores: ScoreSummary | None
    scores_note: str = ""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a run folder.

        Raises:
            ReleaseError: one line, if it is no run folder, or the run is not finished or damaged.
            ConfigError: if its config cannot be used.
        """
        done = folder / DONE_FILE
        if not (folder / "config.json").is_file():
            raise ReleaseError(
                "not a run folder (it has no config.json)", path=folder, hint="Give the folder of a training run."
            )
        if not done.is_file():
            raise ReleaseError(f"this run is not finished (it has no {DONE_FILE})", path=folder, hint=_TRAIN_AGAIN)
        checkpoint = find_checkpoint(folder / "model")
        if checkpoint is None:
            raise ReleaseError("holds no complete checkpoint", path=folder / "model", hint="Run the training again.")
        try:
            # Folders may have any name; facts about them are escaped.
            record = FinishedRun.from_dict(parse_json(read_bounded(done), any_text=True))
            if not is_name(record.name):
                raise ValueError(f"{shortened(record.name)} is no model's name")
            check_texts([record.dataset, record.mlflow_run_id])
            record = replace(record, facts={printable(key): printable(text) for key, text in record.facts.items()})
            scores = run_scores(RunFolder(folder))
        except DatasetError as error:
            hint = f"{error.hint} Or run the same training command again."
            raise ReleaseError(error.problem, path=error.path, hint=hint) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReleaseError(f"cannot be read ({error!r})", path=done, hint=_TRAIN_AGAIN) from error
        return cls(record, load_config(folder), checkpoint, scores.summary, scores.note)


def metrics_text(run: ReleasableRun) -> str:
    """The text of ``metrics.json``: the scores as in ``scores.json`` if there are any, and how it was trained."""
    scores: dict[str, Any] = json.loads(run.scores.to_json()) if run.scores else {}
    record = run.record
    training = {
        "name": record.name,
        "steps": record.steps,
        "dataset": record.dataset,
        "mlflow_run_id": record.mlflow_run_id,
        "facts": dict(record.facts),
        **({"inputs": record.inputs.to_dict()} if record.inputs else {}),
    }
    return json.dumps({**scores, _TRAINING: training}, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class TrainingRecord:
    """All that is needed to train a model again.

    The attributes are those of `FinishedRun` and `ReleasableRun`, and:

    Attributes:
        source: The run's folder, or the release's tarball.
        foreign: Whether it is a release or somebody else's run: its config then names no path, and ``data`` is empty.
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
        """The record of a finished run, without its paths if it is ``foreign``; raises as `ReleasableRun.load` does."""
        run = ReleasableRun.load(folder)
        record, config, facts, data = run.record, run.config, run.record.facts, run.record.data
        if foreign:
            (config, facts), data = _without_paths(config, facts), {}
        return cls(record.name, config, record.dataset, run.scores, facts, data, folder, record.inputs, foreign)

    @classmethod
    def of_release(cls, tarball: Path) -> Self:
        """The record in a release's tarball.

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
            hint = "Give a tarball that flows.publish made."
            raise ReleaseError(f"does not say how it was trained ({error!r})", path=tarball, hint=hint) from error

    def weights(self) -> dict[str, str]:
        """Read the files of its weights: SHA-256 by name."""
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
    """The config without paths, and the facts with the name of the model that it was started from."""
    start = {} if config.init_from is None else {INIT_FROM: model_name(config.init_from)}
    return parse_config(json.dumps(_keys_without_paths(config)), _RECORDED), start | dict(facts)


def released_scores(tarball: Path) -> ScoreSummary | None:
    """The scores in a release's tarball; None if the model was never scored.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    return _scores(_metrics(tarball))


def _metrics(tarball: Path) -> dict[str, Any]:
    # Read to the end: a damaged number would be believed.
    content = parse_json(read_member(tarball, METRICS_FILE, check_all=True) or "{}")
    return content if isinstance(content, dict) else {}


def _scores(content: dict[str, Any]) -> ScoreSummary | None:
    return ScoreSummary.from_json(json.dumps(content), METRICS_FILE) if "stems" in content else None


def released_config(config: ModelConfig, name: str) -> str:
    """The JSON of a config for a release: without paths, ``model_dir`` and ``init_from`` are names of models."""
    start = {} if config.init_from is None else {"init_from": model_name(config.init_from)}
    content = _keys_without_paths(config) | start | {"model_dir": name}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def config_to_train_again(
    config: ModelConfig, manifests: Mapping[str, Path | str], *, init_from: str | None, caches: Path | None
) -> ModelConfig:
    """The config for training a model again, whose only paths are these.

    Args:
        config: Of the training.
        manifests: Paths of the CSVs by their keys.
        init_from: Model whose weights it starts from.
        caches: Folder for the shards; None for the config's own, if it is of this machine.
    """
    content = _keys_without_paths(config) | {key: str(path) for key, path in manifests.items()}
    for part in ("training_cache", "validation_cache"):
        content[part] = str((caches / part).absolute()) if caches else getattr(config, part)
    if init_from is not None:
        content["init_from"] = init_from
    return parse_config(json.dumps(content), _RECORDED)


def _keys_without_paths(config: ModelConfig) -> dict[str, Any]:
    return {key: value for key, value in json.loads(config.to_json()).items() if key not in _PATH_KEYS}
