"""The training task: the loop on the shards, with its measures in MLflow and its progress in Prefect."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.config.load import load_config, model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.batches import training_batches, validation_batches, with_chunk_named
from sepcore.dataset.cache.index import ChunkIndex, read_index
from sepcore.dataset.describe_batch import describe_batch
from sepcore.dataset.manifest import manifest_name, scan_manifest
from sepcore.errors import TrainingError
from sepcore.evaluation.validation_songs import ValidationSongs
from sepcore.training.checkpoints import kept_steps
from sepcore.training.metrics_log import MetricsRecord
from sepcore.training.model_dir import put_into_model_dir
from sepcore.training.run_choice import begin, is_run_of
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_inputs import RunInputs, config_of_finished
from sepcore.training.work import TrainingResult, TrainingWork
from tasks.artifacts import show_link
from tasks.examples import ValidationExamples
from tasks.progress import ProgressArtifact, step_note
from tasks.registered_model import version_of
from tasks.run_facts import code_facts, hardware
from tasks.tracking import TrackedRun, forget_missed, missed_of, tracked
from tasks.training_slot import training_slot


@dataclass(frozen=True)
class TrainingSet:
    """What a training reads: the songs' manifests, and the indexes of their shards; and what it is scored on later."""

    training_csv: Path
    validation_csv: Path
    training_index: Path
    validation_index: Path
    data_dir: Path | None = None
    test_csv: Path | None = None

    def paths(self) -> dict[str, str]:
        """The manifests, to train on them again."""
        named = {
            "train_csv": self.training_csv,
            "validation_csv": self.validation_csv,
            "test_csv": self.test_csv,
            "data_dir": self.data_dir,
        }
        return {key: str(path.absolute()) for key, path in named.items() if path is not None}


@task(task_run_name="train-{name}", cache_policy=NO_CACHE)
def train_model(
    name: str,
    config: ModelConfig,
    run: RunFolder,
    inputs: RunInputs,
    data: TrainingSet,
    report: Callable[[MetricsRecord], None],
) -> str:
    """Run `sepcore.training.trainer.fit` on two indexes of shards as one MLflow run; returns where the model went.

    A run that another process has finished meanwhile gets what `renew_run` does.

    Raises:
        TrainingError: as of `fit`; or another process has finished it with another config or other inputs meanwhile.
    """
    training, validation = read_index(data.training_index, config), read_index(data.validation_index, config)
    with training_slot(), run.locked():  # before anything of the run is touched: another process may train there
        # The wait may have been long. What another process has finished meanwhile is not trained again.
        if run.finished() is not None and not is_run_of(run, config, inputs) and run.inputs() is not None:
            raise TrainingError(
                "another process has just finished this run with another config or other songs",
                path=run.path,
                hint="Run the command again.",
            )
        if run.is_done(config):
            return _renew(name, config, run, inputs, data)
        # TensorFlow: not for who only names or serves the flow
        from sepcore.training.trainer import check_checkpoint_fits, fit

        if kept_steps(run.checkpoints) and not is_run_of(run, config, inputs):
            check_checkpoint_fits(config, run)
        begin(run, config, inputs)
        with tracked(run, name, training=True) as tracking, ProgressArtifact(f"training {name}") as progress:
            show_link(f"training {name} mlflow", tracking.url(), "MLflow run", name)
            _log_what_is_trained(tracking, config, data, training, validation)
            tracking.log_surroundings()

            def show(record: MetricsRecord) -> None:
                report(record)
                max_steps = config.train_max_steps
                progress(record.step, max_steps, step_note(record.step, max_steps, record.metrics))

            examples = ValidationExamples(_validation_songs(config, data, validation), config, tracking)
            work = TrainingWork(
                training_batches=lambda first: with_chunk_named(
                    training_batches(training, config, first_step=first), training
                ),
                validation_batches=lambda: with_chunk_named(validation_batches(validation, config), validation),
                report=show,
                score_songs=examples,
                why_unscored=examples.why_unscored,
                validated=examples.keep_few,
                initial_weights=inputs.initial_weights,
                describe_batch=lambda step: describe_batch(training, config, step),
            )
            result = fit(config, run, work)
            _, where = put_into_model_dir(run, config)
            get_run_logger().info("%s: %d steps; %s", name, result.steps, where)
            _log_weights(tracking, result.model_step)
            if result.choice_note:
                tracking.tag("model_choice_note", result.choice_note)
            tracking.register(name, config, result.model_step)
            run.finish(
                name=name,
                steps=result.steps,
                dataset=training.fingerprint(),
                mlflow_run_id=tracking.run_id,
                ended_early=result.ended_early,
                facts=_facts(config, data, training, result),
                data=data.paths(),
                inputs=inputs,
            )
    return where


@task(task_run_name="renew-{name}", cache_policy=NO_CACHE)
def renew_run(name: str, config: ModelConfig, run: RunFolder, inputs: RunInputs, data: TrainingSet) -> str:
    """Bring a run that is finished by now up to its config: the keys that decide no weights, and its place.

    MLflow gets the config, and what its store did not take of the training; see `tasks.tracking.missed_of`.

    Returns:
        Where the model went.
    """
    return _renew(name, config, run, inputs, data)


def _renew(name: str, config: ModelConfig, run: RunFolder, inputs: RunInputs, data: TrainingSet) -> str:
    before, missed = load_config(run.path), missed_of(run)
    config = config_of_finished(before, config)
    changed = run.inputs() is None or config.to_json() != before.to_json()
    if changed:
        with run.locked():
            if run.inputs() is None:  # of an earlier version, and taken with --force
                run.note_inputs(inputs)
            run.write_config(config)
    if changed or missed:
        _send(name, config, run, data, missed=bool(missed), register=_separates_otherwise(before, config))
    _, where = put_into_model_dir(run, config)
    return where


def _separates_otherwise(before: ModelConfig, now: ModelConfig) -> bool:
    keys = ("separation_exponent", "mask_extension", "mwf")
    return any(getattr(before, key) != getattr(now, key) for key in keys)


def _send(name: str, config: ModelConfig, run: RunFolder, data: TrainingSet, *, missed: bool, register: bool) -> None:
    training, validation = read_index(data.training_index, config), read_index(data.validation_index, config)
    done = run.finished() or {}
    step = int(done.get("facts", {}).get("weights", config.train_max_steps))
    with tracked(run, name) as tracking:
        _log_what_is_trained(tracking, config, data, training, validation)
        tracking.log_file(run.path / "config.json")
        if missed:
            _log_weights(tracking, step)
        # `publish` may have registered it meanwhile.
        if register or (
            missed and tracking.attempt("registered model", lambda: version_of(tracking.run_id, name, step)) is None
        ):
            tracking.register(name, config, step)
    if missed and tracking.is_whole:
        forget_missed(run)


def _log_weights(tracking: TrackedRun, step: int) -> None:
    tracking.log_folder(tracking.run.model, "model")
    tracking.tag("model_step", str(step))


def _facts(config: ModelConfig, data: TrainingSet, training: ChunkIndex, result: TrainingResult) -> dict[str, str]:
    """What the model card says of the training. Of paths no more than what a reader may recognise."""
    facts = {
        "songs": str(training.num_songs),
        "manifest": manifest_name(data.training_csv),
        "weights": str(result.model_step),
        "hardware": hardware(),
    }
    if result.choice_note:
        facts["model_choice"] = result.choice_note
    if config.init_from is not None:
        facts["init_from"] = model_name(config.init_from)
    return facts | code_facts()


def _log_what_is_trained(
    tracking: TrackedRun, config: ModelConfig, data: TrainingSet, training: ChunkIndex, validation: ChunkIndex
) -> None:
    tracking.log_config(
        config,
        run_folder=str(tracking.run.path.absolute()),
        dataset=training.fingerprint(),
        dataset_songs=str(training.num_songs),
        train_csv=str(data.training_csv.absolute()),
        validation_csv=str(data.validation_csv.absolute()),
    )
    tracking.log_dataset(data.training_csv, digest=training.fingerprint(), context="training")
    tracking.log_dataset(data.validation_csv, digest=validation.fingerprint(), context="validation")


def _validation_songs(config: ModelConfig, data: TrainingSet, validation: ChunkIndex) -> ValidationSongs:
    """Songs to score whole, among those that are good enough to be cached; the check has named the others."""
    cached = {record.song for record in validation.records()}
    scan = scan_manifest(data.validation_csv, config, data_dir=data.data_dir)
    return ValidationSongs((row for _, row in scan.rows if row.name in cached), config)
