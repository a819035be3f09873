import itertools

import filelock
import numpy as np
import pytest

from sepcore.errors import CheckpointError, TrainingError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.training.checkpoints import kept_steps
from sepcore.training.run_folder import RunFolder
from sepcore.training.trainer import build_trainable_network, fit
from tests.models import small_config


def batch(step):
    targets = np.random.default_rng(step).random((2, 2, 64, 64, 2)).astype(np.float32)
    return targets.sum(axis=1), targets


class Training:
    """A training on made-up spectrograms, with what it reported."""

    def __init__(self, path, **keys):
        keys = {"train_max_steps": 6, "save_checkpoints_steps": 2, "save_summary_steps": 1, "throttle_secs": 1e9} | keys
        self.config = small_config(**keys)
        self.run = RunFolder(path)
        self.reports = []

    def fit(self, batches=batch):
        return fit(
            self.config, self.run,
            training_batches=lambda first: (batches(step) for step in itertools.count(first)),
            validation_batches=lambda: [batch(1000)],
            report=lambda step, metrics: self.reports.append((step, metrics)),
        )  # fmt: skip

    def weights(self):
        network = build_network(self.config)
        read_checkpoint(network, self.run.model)
        return network.get_weights()

    def losses(self):
        return [metrics["train_loss"] for _, metrics in self.reports if "train_loss" in metrics]


def test_training_lowers_the_loss_and_leaves_a_model_of_the_last_step(tmp_path):
    training = Training(tmp_path, learning_rate=1e-2)
    assert training.fit() == 6
    assert training.losses()[-1] < training.losses()[0]
    assert read_checkpoint(build_network(training.config), training.run.model) == 6


def test_the_loss_is_the_sum_of_the_instruments_losses(tmp_path):
    training = Training(tmp_path, train_max_steps=1)
    training.fit()
    metrics = training.reports[0][1]
    assert metrics["train_loss"] == pytest.approx(metrics["train_loss_vocals"] + metrics["train_loss_accompaniment"])


def test_the_first_loss_is_numpys(tmp_path):
    training = Training(tmp_path, train_max_steps=1, loss_type="weighted_L1_mask")
    mixture, targets = batch(0)
    estimates = np.asarray(build_trainable_network(training.config)(mixture))
    weights = targets.mean(axis=(2, 3, 4), keepdims=True)
    training.fit()
    expected = (weights * np.abs(estimates - targets)).mean(axis=(0, 2, 3, 4)).sum()
    assert training.losses()[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["Adam", "Adadelta", "SGD"])
def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path, optimizer):
    whole = Training(tmp_path / "whole", optimizer=optimizer, learning_rate=1e-3)
    whole.fit()

    stopped = Training(tmp_path / "stopped", optimizer=optimizer, learning_rate=1e-3)

    def fail_at_5(step):
        if step == 5:
            raise KeyboardInterrupt
        return batch(step)

    with pytest.raises(KeyboardInterrupt):
        stopped.fit(fail_at_5)
    assert stopped.fit() == 6
    assert stopped.losses() == [*whole.losses()[:5], *whole.losses()[4:]]  # step 5 is done again
    for ours, theirs in zip(stopped.weights(), whole.weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_finished_training_trains_no_more_and_goes_on_when_given_more_steps(tmp_path):
    Training(tmp_path).fit()
    again = Training(tmp_path)
    assert again.fit() == 6
    assert again.reports == []
    longer = Training(tmp_path, train_max_steps=7)
    assert longer.fit() == 7
    assert len(longer.losses()) == 1


def test_validation_waits_for_throttle_secs_but_comes_at_the_end(tmp_path):
    throttled, eager = Training(tmp_path / "a"), Training(tmp_path / "b", throttle_secs=1e-9)
    for training in (throttled, eager):
        training.fit()
    validated = [[step for step, m in t.reports if "validation_loss" in m] for t in (throttled, eager)]
    assert validated == [[2, 6], [2, 4, 6]]


def test_two_checkpoints_are_kept(tmp_path):
    training = Training(tmp_path)
    training.fit()
    assert kept_steps(training.run.checkpoints) == [4, 6]


def test_a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_checkpoint(tmp_path):
    training = Training(tmp_path)

    def spoilt(step):
        mixture, targets = batch(step)
        return mixture * (np.nan if step == 4 else 1), targets

    with pytest.raises(TrainingError, match="step 5: the loss is nan; lower learning_rate"):
        training.fit(spoilt)
    assert kept_steps(training.run.checkpoints)[-1] == 4


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    training = Training(tmp_path / "run")
    (tmp_path / "run").mkdir()
    with filelock.FileLock(training.run.lock), pytest.raises(TrainingError, match="another process trains here"):
        training.fit()


def test_a_damaged_checkpoint_is_named(tmp_path):
    training = Training(tmp_path, train_max_steps=2)
    training.fit()
    path = training.run.checkpoints / "step-2.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"step-2.npz: damaged"):
        Training(tmp_path, train_max_steps=4).fit()
