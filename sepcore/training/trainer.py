"""The training loop: steps, checkpoints, validation; resumed wherever it stopped."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import filelock
import keras

from sepcore.config import ModelConfig
from sepcore.errors import TrainingError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.training.checkpoints import restore_training_state, save_training_state
from sepcore.training.losses import build_loss, build_stem_metrics
from sepcore.training.optimizers import build_optimizer
from sepcore.training.run_folder import RunFolder

_logger = logging.getLogger(__name__)

Batches = Iterable[tuple[Any, Any]]
Report = Callable[[int, Mapping[str, float]], None]


def build_trainable_network(config: ModelConfig) -> Any:
    """The network of a config with fresh weights from its seed, compiled with its loss and optimizer."""
    keras.utils.set_random_seed(config.random_seed)
    network = build_network(config)
    network.compile(
        optimizer=build_optimizer(config),
        loss=build_loss(config),
        metrics=build_stem_metrics(config),
        # XLA runs these convolutions at a third of oneDNN's speed on a CPU.
        jit_compile=False,
    )
    network.optimizer.build(network.trainable_variables)
    return network


def fit(
    config: ModelConfig,
    run: RunFolder,
    *,
    training_batches: Callable[[int], Batches],
    validation_batches: Callable[[], Batches],
    report: Report,
) -> int:
    """Train until ``config.train_max_steps``, going on from the run folder's last checkpoint if there is one.

    Args:
        config: What to train.
        run: Where checkpoints are kept; at the end its ``model`` holds the last weights as Spleeter reads them.
        training_batches: Called with the first step to run; yields ``(mixture, targets)`` without end, float32
            magnitudes ``(batch, T, F, channels)`` and ``(batch, stems, T, F, channels)``.
        validation_batches: The validation set, once through.
        report: Called with a step and its metrics: ``train_loss``, ``train_loss_<instrument>`` and ``examples_per_s``
            every ``save_summary_steps``; ``validation_loss`` and ``validation_loss_<instrument>`` after a checkpoint
            if ``throttle_secs`` have passed since the last validation, and at the end.

    Returns:
        The step reached.

    Raises:
        TrainingError: if another process trains in the same folder, or the loss is not finite any more.
        CheckpointError: if the last checkpoint cannot be used.
    """
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(run.lock, timeout=0):
            return _fit(config, run, training_batches, validation_batches, report)
    except filelock.Timeout as error:
        raise TrainingError(
            f"{run.path}: another process trains here; wait for it or use another --work-dir."
        ) from error


def _fit(
    config: ModelConfig,
    run: RunFolder,
    training_batches: Callable[[int], Batches],
    validation_batches: Callable[[], Batches],
    report: Report,
) -> int:
    network = build_trainable_network(config)
    step = restore_training_state(network, run.checkpoints)
    if step:
        _logger.info("going on from step %d in %s", step, run.path)
    if step < config.train_max_steps:
        last_validation, last_report, reported = -math.inf, time.monotonic(), step
        for mixture, targets in training_batches(step):
            losses = _step_losses(network, config, mixture, targets)
            step += 1
            if not math.isfinite(losses["loss"]):
                raise TrainingError(
                    f"step {step}: the loss is {losses['loss']}; lower learning_rate or check the data "
                    f"(the last good checkpoint is kept in {run.checkpoints})."
                )
            last = step >= config.train_max_steps
            if last or step % config.save_summary_steps == 0:
                now = time.monotonic()
                rate = (step - reported) * config.batch_size / (now - last_report)
                last_report, reported = now, step
                report(step, {f"train_{name}": value for name, value in losses.items()} | {"examples_per_s": rate})
            if last or step % config.save_checkpoints_steps == 0:
                save_training_state(network, run.checkpoints, step=step)
                if last or time.monotonic() - last_validation >= config.throttle_secs:
                    report(step, validate(network, config, validation_batches()))
                    last_validation = time.monotonic()
            if last:
                break
    write_checkpoint(network, run.model, step=step)
    return step


def _step_losses(network: Any, config: ModelConfig, mixture: Any, targets: Any) -> dict[str, float]:
    network.reset_metrics()
    return _named(config, network.train_on_batch(mixture, targets, return_dict=True))


def validate(network: Any, config: ModelConfig, batches: Batches) -> dict[str, float]:
    """Losses over a validation set, each example counting the same; empty if the set is."""
    network.reset_metrics()
    logs: dict[str, Any] = {}
    for mixture, targets in batches:
        logs = network.test_on_batch(mixture, targets, return_dict=True)
    return {f"validation_{name}": value for name, value in _named(config, logs).items()} if logs else {}


def _named(config: ModelConfig, logs: Mapping[str, Any]) -> dict[str, float]:
    named = {"loss": float(logs["loss"])}
    return named | {f"loss_{name}": float(logs[f"stem_{i}"]) for i, name in enumerate(config.instruments)}
