"""The training task: the loop on the shards, with its losses in MLflow."""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.config import ModelConfig
from sepcore.dataset.batches import training_batches, validation_batches, with_chunk_named
from sepcore.dataset.cache.index import read_index
from sepcore.training.model_dir import put_into_model_dir
from sepcore.training.run_folder import RunFolder
from sepcore.training.trainer import fit
from tasks.tracking import tracked

Report = Callable[[int, Mapping[str, float]], None]


@task(task_run_name="train-{name}", cache_policy=NO_CACHE)
def train_model(
    name: str, config: ModelConfig, run: RunFolder, training_shards: Path, validation_shards: Path, report: Report
) -> str:
    """Run `sepcore.training.trainer.fit` on two folders of shards as one MLflow run; returns where the model went."""
    training, validation = read_index(training_shards, config), read_index(validation_shards, config)
    run.reopen()
    run.start(config)
    with tracked(run, name) as tracking:
        tracking.log_config(
            config,
            run_folder=str(run.path.absolute()),
            dataset=training.fingerprint(),
            dataset_songs=str(training.num_songs),
            hardware=f"{platform.machine()} {platform.processor()}".strip(),
        )
        tracking.log_file(run.path / "config.json")

        def log(step: int, metrics: Mapping[str, float]) -> None:
            tracking.log_metrics(metrics, step)
            report(step, metrics)

        steps = fit(
            config,
            run,
            training_batches=lambda first: with_chunk_named(
                training_batches(training, config, first_step=first), training
            ),
            validation_batches=lambda: with_chunk_named(validation_batches(validation, config), validation),
            report=log,
        )
        _, where = put_into_model_dir(run, config)
        get_run_logger().info("%s: %d steps; %s", name, steps, where)
        tracking.log_folder(run.model, "model")
        run.finish(name=name, steps=steps, dataset=training.fingerprint(), mlflow_run_id=tracking.run_id)
    return where
