"""The training loop: steps, checkpoints, validation; resumed wherever it stopped."""

import gc
import logging
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError
from sepcore.networks.checkpoint_files import checkpoint_names, model_names
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.system.atomic import atomic_folder
from sepcore.system.os_errors import fix_for, reason_of
from sepcore.training.checkpoints import (
    kept_steps,
    restore_selection,
    restore_training_state,
    save_selection,
    save_training_state,
)
from sepcore.training.devices import parallel_devices, set_up_devices
from sepcore.training.initial_weights import transfer_weights
from sepcore.training.losses import Batches, losses_by_name, validate
from sepcore.training.metrics_log import Kind, MetricsRecord, SpeedMeter, append_record, cut_records
from sepcore.training.optimizers import averaged_weights, build_trainable_network, learning_rate
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import TrainingResult
from sepcore.training.spectra import batch_spectra

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingWork:
    """What a training is handed from outside.

    Attributes:
        training_batches: Called with the first step to run; yields ``(mixture, targets)`` without end, as
            `batch_spectra` takes them.
        validation_batches: The validation set, once through.
        report: Called with each record after it has been written to the run's `metrics_log`.
        score_songs: Called at each validation with the network and the step; its metrics are joined to the losses,
            ``validation_SDR`` being the one that a model can be chosen by.
        why_unscored: Why ``score_songs`` has just given no ``validation_SDR``, in a few words.
        validated: Called after each validation with the step of the best one so far; None if there is none.
        initial_weights: Fingerprint of the weights that the run starts from, see `initial_fingerprint`; training
            refuses to start from others. None: they were not looked at.
        describe_batch: Songs and offsets of the batch of a step, to be named when its loss is not finite.
    """

    training_batches: Callable[[int], Batches]
    validation_batches: Callable[[], Batches]
    report: Callable[[MetricsRecord], None] = lambda record: None
    score_songs: Callable[[Any, int], Mapping[str, float]] = lambda network, step: {}
    why_unscored: Callable[[], str] = lambda: "no songs were given"
    validated: Callable[[int | None], None] = lambda best_step: None
    initial_weights: str | None = None
    describe_batch: Callable[[int], list[str]] = lambda step: []


def fit(config: ModelConfig, run: RunFolder, work: TrainingWork) -> TrainingResult:
    """Train until ``config.train_max_steps``, resuming from the run folder's last checkpoint if there is one.

    Every ``save_summary_steps`` a ``train`` record has ``train_loss``, ``train_loss_<instrument>`` and
    ``learning_rate``, and a ``system`` record ``examples_per_s`` and ``data_wait_share`` (of the time). A
    ``validation`` record, ``validation_loss`` and ``validation_loss_<instrument>`` with what ``score_songs`` adds,
    comes after a checkpoint if ``throttle_secs`` have passed since the last one, and at the end.

    Args:
        config: What to train.
        run: Where checkpoints and measures are kept; at the end its ``last``, ``best`` and ``model`` hold weights as
            Spleeter reads them. No other process may train there at the same time.
        work: Batches, and what is called meanwhile.

    Raises:
        TrainingError: if another process trains in the same folder, the disk is full, the loss is not finite any more,
            or the weights to start from are others by now.
        CheckpointError: if the last checkpoint, or the one of ``init_from``, cannot be used.
    """
    with run.locked():
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        return _Training(config, run, work).to_the_end()


def check_checkpoint_fits(config: ModelConfig, run: RunFolder) -> None:
    """Refuse to resume a run whose last checkpoint is of another network than the config's; nothing is written.

    Raises:
        CheckpointError: one line that says so.
    """
    set_up_devices(config)
    network = build_trainable_network(config)
    restore_training_state(network, run.checkpoints)
    del network
    gc.collect()  # a Keras model holds itself in a circle


class _Training:
    """A training under way."""

    def __init__(self, config: ModelConfig, run: RunFolder, work: TrainingWork) -> None:
        self._config, self._run, self._work = config, run, work
        set_up_devices(config)
        self._parallel = parallel_devices(config)
        self._spectra = batch_spectra(config)
        self._network = build_trainable_network(config, self._parallel)
        self._step = restore_training_state(self._network, run.checkpoints)
        if self._step:
            _logger.info("resuming from step %d in %s", self._step, run.path)
        elif config.init_from:
            for line in transfer_weights(self._network, config, config.init_from, expected=work.initial_weights):
                _logger.info("%s", line)
        self._selection, self._judged = restore_selection(run.checkpoints, self._step)
        cut_records(run.metrics, step=self._step, validated=self._judged)
        self._last_validation = -math.inf
        self._unscored: str | None = None

    def to_the_end(self) -> TrainingResult:
        """All steps that are left."""
        if self._step and not self._judged:
            self._after_checkpoint()
        if not self._is_over():
            self._train()
        return self._finish()

    def _is_over(self) -> bool:
        return self._step >= self._config.train_max_steps or self._selection.ends_training(self._config)

    def _train(self) -> None:
        config, speed = self._config, SpeedMeter(self._step)
        batches = iter(self._work.training_batches(self._step))
        while True:
            with speed.waiting():
                batch = next(batches)
            losses, rate = self._train_step(*self._spectra(batch))
            at_end = self._step >= config.train_max_steps
            if at_end or self._step % config.save_summary_steps == 0:
                measured = {f"train_{name}": loss for name, loss in losses.items()}
                self._record("train", measured | {"learning_rate": rate})
                self._record("system", speed.metrics(self._step, config.batch_size))
                speed = SpeedMeter(self._step)
            if at_end or self._step % config.save_checkpoints_steps == 0:
                with self._write_errors_named("checkpoint"):
                    save_training_state(self._network, self._run.checkpoints, step=self._step)
                self._after_checkpoint()
                if self._is_over():
                    return
                speed = SpeedMeter(self._step)

    def _train_step(self, mixture: Any, targets: Any) -> tuple[dict[str, float], float]:
        """One step; returns its losses and learning rate."""
        rate = learning_rate(self._config, self._step, self._selection.rate_factor)
        self._network.optimizer.learning_rate = rate
        if self._parallel:
            mixture, targets = self._parallel.split((mixture, targets))
        losses = losses_by_name(self._config, self._network.train_on_batch(mixture, targets, return_dict=True))
        self._step += 1
        if not math.isfinite(losses["loss"]):
            places = "; ".join(self._work.describe_batch(self._step - 1))
            raise TrainingError(
                f"step {self._step}: the loss is {losses['loss']}{f' (batch: {places})' if places else ''}",
                hint="Lower learning_rate, set clip_norm, or check these songs. "
                f"The last good checkpoint is kept in {self._run.checkpoints}.",
            )
        return losses, rate

    def _after_checkpoint(self) -> None:
        """Validate if it is time to, and keep what that decides."""
        config, at_end = self._config, self._step >= self._config.train_max_steps
        due = time.monotonic() - self._last_validation >= config.throttle_secs or config.deterministic
        if at_end or due:
            self._last_validation = time.monotonic()
            with averaged_weights(self._network, config):
                metrics = validate(self._network, config, map(self._spectra, self._work.validation_batches()))
                metrics |= self._work.score_songs(self._network, self._step)
                self._check_scored(metrics)
                before, self._selection = self._selection, self._selection.after(self._step, metrics, config)
                if self._selection.best_step == self._step:
                    self._write(self._run.best)
            self._work.validated(self._selection.best_step)
            if metrics:
                self._record("validation", metrics)
            if self._selection.rate_factor != before.rate_factor:
                _logger.info("step %d: no improvement for a while; learning rate lowered", self._step)
        with self._write_errors_named("state of the validations"):
            save_selection(self._selection, self._run.checkpoints, step=self._step)

    def _check_scored(self, metrics: Mapping[str, float]) -> None:
        """Warn once that no validation has an SDR to choose by.

        Such a validation counts neither as better nor as worse: `patience` and a plateau do not see it. With the loss
        in its place, one choice would be made by two measures.
        """
        if self._config.model_choice != "validation_sdr" or "validation_SDR" in metrics:
            return
        if self._unscored is None:
            _logger.warning(
                "step %d: no validation song could be scored (%s), and model_choice is validation_sdr: validations "
                "without scores decide nothing, patience and plateau do not count them, and if none has a score the "
                "last weights become the model; fix these songs, or choose by validation_loss",
                self._step,
                self._work.why_unscored(),
            )
        self._unscored = self._work.why_unscored()

    def _choice_note(self) -> str | None:
        """Why the last weights become the model though the best were asked for."""
        if self._config.model_choice == "last" or self._selection.best_step is not None:
            return None
        reason = f" ({self._unscored})" if self._unscored else ""
        return f"last instead of {self._config.model_choice}: no validation had a score{reason}"

    def _finish(self) -> TrainingResult:
        """Write the last weights, and make the last or the best ones the model."""
        with averaged_weights(self._network, self._config):
            self._write(self._run.last)
        by_choice = self._config.model_choice != "last" and self._selection.best_step is not None
        chosen = self._run.best if by_choice else self._run.last
        with self._write_errors_named("model"), atomic_folder(self._run.model, model_names) as temporary:
            for name in checkpoint_names(chosen):
                shutil.copy2(chosen / name, temporary)
        model_step = self._selection.best_step if by_choice else self._step
        assert model_step is not None
        ended_early = self._step < self._config.train_max_steps
        return TrainingResult(self._step, ended_early, model_step, self._choice_note())

    def _write(self, folder: Path) -> None:
        with self._write_errors_named("model"):
            write_checkpoint(self._network, folder, step=self._step)

    def _record(self, kind: Kind, metrics: Mapping[str, float]) -> None:
        record = MetricsRecord(kind, self._step, time.time(), metrics)
        with self._write_errors_named("losses"):
            append_record(self._run.metrics, record)
        self._work.report(record)

    @contextmanager
    def _write_errors_named(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = kept_steps(self._run.checkpoints)
            then = f"Then the same command resumes from step {kept[-1]}." if kept else "Then start again."
            raise TrainingError(
                f"the {what} of step {self._step} could not be written ({reason_of(error)})",
                path=self._run.path,
                hint=f"{fix_for(error)}. {then}",
                errno=error.errno,
            ) from error
