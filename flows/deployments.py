"""What `flows.serve` serves: flows under names that ``prefect deployment run`` takes, with parameters filled in.

``prefect.yaml`` says the same for a work pool.
"""

from collections.abc import Callable
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType, RunnerDeployment

from flows.evaluate import evaluate
from flows.prepare_musdb import prepare_musdb
from flows.publish import publish
from flows.separate_batch_flow import separate_batch
from flows.train import train
from flows.training_inputs import MUSDB_OF_ENVIRONMENT

# A run more waits, without a process, for the one before it: each fills the machine.
_ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE)


def deployments() -> list[RunnerDeployment]:
    """All of them. Trainings wait for each other by themselves, see `tasks.training_slot`."""
    return [
        *(_training(f"{number}stems") for number in (2, 4, 5)),
        _deployment(prepare_musdb, "prepare-musdb", "dataset", parameters={"params": "musdb"}),
        _deployment(evaluate, "evaluate", "evaluation", parameters={"params": "4stems", "out": "scores"}),
        _deployment(separate_batch, "separate-batch", "separation", parameters={"params": "2stems"}),
        _deployment(publish, "publish", "release", parameters={}),
    ]


def _training(model: str) -> RunnerDeployment:
    parameters = {"params": model, "musdb_root": str(MUSDB_OF_ENVIRONMENT)}
    return _deployment(train, f"train-{model}", "training", parameters=parameters, limit=None)


def _deployment(
    flow: Flow[..., Any] | Callable[..., Any],
    name: str,
    tag: str,
    *,
    parameters: dict[str, Any],
    limit: ConcurrencyLimitConfig | None = _ONE_AT_A_TIME,
) -> RunnerDeployment:
    made: RunnerDeployment = flow.to_deployment(
        name,
        parameters=parameters,
        tags=["stemworks", tag],
        concurrency_limit=limit,
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return made
