"""The training task: the loop on the shards, with its measures in MLflow and its progress in Prefect."""

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import deployment

from sepcore.config.load import load_config
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.batches import describe_batch, training_batches, validation_batches
from sepcore.dataset.cache.index import ChunkIndex, read_index
from sepcore.dataset.manifest import scan_manifest
from sepcore.errors import TrainingError
from sepcore.evaluation.validation_songs import ValidationSongs
from sepcore.training.checkpoints import kept_steps
from sepcore.training.metrics_log import MetricsRecord
from sepcore.training.model_dir import put_into_model_dir
from sepcore.training.run_choice import begin, is_run_of
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import FinishedRun, RunInputs, config_of_finished
from tasks.artifacts import ProgressArtifact, show_link, step_note
from tasks.examples import ValidationExamples
from tasks.tracking.run import TrackedRun, is_all_sent, tracked
from tasks.tracking.run_facts import card_facts

# The slot of a training that was killed is free again after this time.
_LEASE_S = 60.0


@dataclass(frozen=True)
class TrainingSet:
    """What a training reads: the songs' manifests, the indexes of their shards, and what it is scored on later."""

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
    with training_slot(), run.locked():  # before anything of the run is touched: another process may train there
        # The wait may have been long. What another process has finished meanwhile is not trained again.
        if run.finished() is not None and not is_run_of(run, config, inputs) and run.inputs() is not None:
            raise TrainingError(
                "another process has just finished this run with another config or other songs",
                path=run.path,
                hint="Run the command again.",
            )
        if not run.is_done(config):
            return _train(name, config, run, inputs, data, report)
        return _renew(name, config, run, inputs, data)


def _train(
    name: str,
    config: ModelConfig,
    run: RunFolder,
    inputs: RunInputs,
    data: TrainingSet,
    report: Callable[[MetricsRecord], None],
) -> str:
    training, validation = read_index(data.training_index, config), read_index(data.validation_index, config)
    # TensorFlow: not for who only names or serves the flow
    from sepcore.training.trainer import TrainingWork, check_checkpoint_fits, fit

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
            training_batches=lambda first: training_batches(training, config, first_step=first),
            validation_batches=lambda: validation_batches(validation, config),
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
        _log_weights(tracking, result.model_step, result.choice_note)
        tracking.register(name, config, result.model_step)
        run.finish(
            FinishedRun(
                name=name,
                steps=result.steps,
                dataset=training.fingerprint(),
                mlflow_run_id=tracking.run_id,
                ended_early=result.ended_early,
                choice_note=result.choice_note,
                facts=card_facts(config, data.training_csv, training, result),
                data=data.paths(),
                inputs=inputs,
            )
        )
    tracking.note_all_sent(result.steps)

    return where


@task(task_run_name="renew-{name}", cache_policy=NO_CACHE)
def renew_run(name: str, config: ModelConfig, run: RunFolder, inputs: RunInputs, data: TrainingSet) -> str:
    """Bring a finished run up to date with its config: the keys that decide no weights, and the model's place.

    MLflow gets the config, and what its store does not have of the training; see `tasks.tracking.run.is_all_sent`.

    Returns:
        Where the model went.
    """
    return _renew(name, config, run, inputs, data)


def _renew(name: str, config: ModelConfig, run: RunFolder, inputs: RunInputs, data: TrainingSet) -> str:
    before, done = load_config(run.path), run.finished()
    config = config_of_finished(before, config)
    changed = run.inputs() is None or config.to_json() != before.to_json()
    if changed:
        with run.locked():
            if run.inputs() is None:  # of an earlier version, and taken with --force
                run.note_inputs(inputs)
            run.write_config(config)
    if done is not None and (changed or not is_all_sent(run, done.steps)):
        _send(done, config, run, data, register=_separates_otherwise(before, config))
    _, where = put_into_model_dir(run, config)
    return where


def _separates_otherwise(before: ModelConfig, now: ModelConfig) -> bool:
    keys = ("separation_exponent", "mask_extension", "mwf", "mixture_consistency")
    return any(getattr(before, key) != getattr(now, key) for key in keys)


def _send(done: FinishedRun, config: ModelConfig, run: RunFolder, data: TrainingSet, *, register: bool) -> None:
    """Send all of a finished training once more; its model only if ``register`` or if the registry lacks it."""
    training, validation = read_index(data.training_index, config), read_index(data.validation_index, config)
    with tracked(run, done.name) as tracking:
        _log_what_is_trained(tracking, config, data, training, validation)
        tracking.log_file(run.path / "config.json")
        if run.examples.is_dir():
            tracking.log_folder(run.examples, run.examples.name)
        _log_weights(tracking, done.model_step, done.choice_note)
        tracking.register(done.name, config, done.model_step, unless_there=not register)
    tracking.note_all_sent(done.steps)


def _log_weights(tracking: TrackedRun, step: int, choice_note: str | None) -> None:
    tracking.log_folder(tracking.run.model, "model")
    tracking.tag("model_step", str(step))
    if choice_note:
        tracking.tag("model_choice_note", choice_note)


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
    cached = validation.song_names()
    scan = scan_manifest(data.validation_csv, config, data_dir=data.data_dir)
    return ValidationSongs((row for _, row in scan.rows if row.name in cached), config)


@contextmanager
def training_slot() -> Iterator[None]:
    """Wait for other trainings of deployments on these devices to end, and keep the next ones waiting.

    The limit is a global concurrency limit of Prefect's, made here with one slot; a limit that its user has changed
    stays. Trainings that commands start are not limited. A server that goes away meanwhile ends no training.
    """
    if deployment.id is None:
        yield
        return
    limit = slot_name()
    if not _has_room(limit):
        get_run_logger().warning(
            "waiting for another training to end, or a minute for the slot of one that was killed "
            "(concurrency limit %r)",
            limit,
        )
    with concurrency(limit, lease_duration=_LEASE_S, raise_on_lease_renewal_failure=False):
        yield


def slot_name() -> str:
    """The limit's name: the machine, and the GPUs if ``CUDA_VISIBLE_DEVICES`` picks some of them."""
    devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"training on {socket.gethostname()}" + (f" GPU {devices}" if devices else "")


def _has_room(name: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            try:
                client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
            except ObjectAlreadyExists:
                logging.getLogger(__name__).info("another process has just made the limit %s", name)
            return True
        return limit.active_slots < limit.limit
