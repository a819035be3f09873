"""The training task: the loop on the shards, with its measures in MLflow and its progress in Prefect."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.config import ModelConfig
from sepcore.config_file import model_name
from sepcore.dataset.batch_places import batch_places
from sepcore.dataset.batches import training_batches, validation_batches, with_chunk_named
from sepcore.dataset.cache.index import ChunkIndex, read_index
from sepcore.dataset.manifest import load_manifest, manifest_name
from sepcore.evaluation.validation_songs import ValidationSongs
from sepcore.training.metrics_log import Record
from sepcore.training.model_dir import put_into_model_dir
from sepcore.training.run_folder import RunFolder
from sepcore.training.work import TrainingWork
from tasks.artifacts import show_link
from tasks.examples import ValidationExamples
from tasks.progress import ProgressArtifact, step_note
from tasks.registered_model import version_of
from tasks.run_facts import code_facts, hardware
from tasks.tracking import TrackedRun, forget_missed, tracked
from tasks.training_slot import training_slot


@dataclass(frozen=True)
class TrainingSet:
    """What a training reads: the songs' manifests, and the folders of their shards; and what it is scored on later."""

    training_csv: Path
    validation_csv: Path
    training_shards: Path
    validation_shards: Path
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
    name: str, config: ModelConfig, run: RunFolder, data: TrainingSet, report: Callable[[Record], None]
) -> str:
    """Run `sepcore.training.trainer.fit` on two folders of shards as one MLflow run; returns where the model went."""
    from sepcore.training.trainer import fit  # TensorFlow: not for who only names or serves the flow

    training, validation = read_index(data.training_shards, config), read_index(data.validation_shards, config)
    with training_slot(), run.locked():  # before anything of the run is touched: another process may train there
        run.reopen()
        run.start(config, dataset=training.fingerprint())
        with tracked(run, name, training=True) as tracking, ProgressArtifact(f"training {name}") as progress:
            show_link(f"training {name} mlflow", tracking.url(), "MLflow run", name)
            _log_what_is_trained(tracking, config, data, training, validation)
            tracking.log_surroundings()

            def show(record: Record) -> None:
                report(record)
                max_steps = config.train_max_steps
                progress(record.step, max_steps, step_note(record.step, max_steps, record.metrics))

            work = TrainingWork(
                training_batches=lambda first: with_chunk_named(
                    training_batches(training, config, first_step=first), training
                ),
                validation_batches=lambda: with_chunk_named(validation_batches(validation, config), validation),
                report=show,
                score_songs=ValidationExamples(_validation_songs(config, data, validation), config, tracking),
                batch_places=lambda step: batch_places(training, config, step),
            )
            result = fit(config, run, work)
            _, where = put_into_model_dir(run, config)
            get_run_logger().info("%s: %d steps; %s", name, result.steps, where)
            _log_weights(tracking, result.model_step)
            tracking.register(name, config, result.model_step)
            run.finish(
                name=name,
                steps=result.steps,
                dataset=training.fingerprint(),
                mlflow_run_id=tracking.run_id,
                ended_early=result.ended_early,
                facts=_facts(config, data, training, result.model_step),
                data=data.paths(),
            )
    return where


@task(task_run_name="track-{name}", cache_policy=NO_CACHE)
def send_missed(name: str, config: ModelConfig, run: RunFolder, data: TrainingSet) -> None:
    """Send MLflow what its store did not take of a training that is finished by now; see `tasks.tracking.missed_of`."""
    training, validation = read_index(data.training_shards, config), read_index(data.validation_shards, config)
    done = run.finished() or {}
    step = int(done.get("facts", {}).get("weights", config.train_max_steps))
    with tracked(run, name) as tracking:
        _log_what_is_trained(tracking, config, data, training, validation)
        _log_weights(tracking, step)
        # `publish` may have registered it meanwhile.
        if tracking.attempt("registered model", lambda: version_of(tracking.run_id, name, step)) is None:
            tracking.register(name, config, step)
    if tracking.is_whole:
        forget_missed(run)


def _log_weights(tracking: TrackedRun, step: int) -> None:
    tracking.log_folder(tracking.run.model, "model")
    tracking.tag("model_step", str(step))


def _facts(config: ModelConfig, data: TrainingSet, training: ChunkIndex, model_step: int) -> dict[str, str]:
    """What the model card says of the training. Of paths no more than what a reader may recognise."""
    facts = {
        "songs": str(training.num_songs),
        "manifest": manifest_name(data.training_csv),
        "weights": str(model_step),
        "hardware": hardware(),
    }
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
    """Songs to score whole, among those that are good enough to be cached."""
    cached = {record.song for record in validation.records()}
    rows = load_manifest(data.validation_csv, config, data_dir=data.data_dir)
    return ValidationSongs((row for row in rows if row.name in cached), config)
