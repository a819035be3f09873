import errno
import itertools
import os

import filelock
import numpy as np
import pytest

from sepcore.errors import CheckpointError, TrainingError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.training import trainer
from sepcore.training.checkpoints import forget_selections, kept_steps, save_training_state
from sepcore.training.metrics_log import read_records
from sepcore.training.optimizers import build_trainable_network
from sepcore.training.run_folder import RunFolder
from sepcore.training.trainer import TrainingWork, check_checkpoint_fits, fit
from tests.models import SMALL_UNET, TINY, small_config
from tests.raised import raises


def batch(step):
    targets = np.random.default_rng(step).random((2, 2, 64, 64, 2)).astype(np.float32)
    return targets.sum(axis=1), targets


class Training:
    """A training on made-up spectrograms, with what it reported."""

    def __init__(self, path, **keys):
        keys = {"train_max_steps": 6, "save_checkpoints_steps": 2, "save_summary_steps": 1, "throttle_secs": 1e9} | keys
        self.config = small_config(**{"model": TINY} | keys)
        self.run = RunFolder(path)
        self.reports = []

    def fit(self, batches=batch, **work):
        work = {
            "training_batches": lambda first: (batches(step) for step in itertools.count(first)),
            "validation_batches": lambda: [batch(1000)],
            "report": self.reports.append,
        } | work
        return fit(self.config, self.run, TrainingWork(**work))

    def fit_until(self, step):
        """Train, and be stopped while a step runs, the first being step 1."""

        def interrupted(number):
            if number == step - 1:
                raise KeyboardInterrupt
            return batch(number)

        with pytest.raises(KeyboardInterrupt):
            self.fit(interrupted)

    def weights(self, folder="model"):
        network = build_network(self.config)
        read_checkpoint(network, self.run.path / folder)
        return network.get_weights()

    def losses(self):
        return [record.metrics["train_loss"] for record in self.reports if record.kind == "train"]

    def validated(self):
        return [record.step for record in self.reports if record.kind == "validation"]


def assert_same_weights(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_lowers_the_loss_and_leaves_a_model_of_the_last_step(tmp_path):
    training = Training(tmp_path, learning_rate=1e-2)
    assert training.fit().steps == 6
    assert training.losses()[-1] < training.losses()[0]
    assert read_checkpoint(build_network(training.config), training.run.model) == 6


def test_the_loss_is_the_sum_of_the_instruments_losses(tmp_path):
    training = Training(tmp_path, train_max_steps=1)
    training.fit()
    metrics = training.reports[0].metrics
    assert metrics["train_loss"] == pytest.approx(metrics["train_loss_vocals"] + metrics["train_loss_accompaniment"])


def test_the_first_loss_is_numpys(tmp_path):
    training = Training(tmp_path, train_max_steps=1, loss_type="weighted_L1_mask")
    mixture, targets = batch(0)
    estimates = np.asarray(build_trainable_network(training.config)(mixture))
    weights = targets.mean(axis=(2, 3, 4), keepdims=True)
    training.fit()
    expected = (weights * np.abs(estimates - targets)).mean(axis=(0, 2, 3, 4)).sum()
    assert training.losses()[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer": "Adam"},
        {"optimizer": "Adadelta"},
        {"optimizer": "SGD"},
        {"dropout": 0.5, "ema": 0.5, "clip_norm": 0.1, "schedule": "cosine"},
        {"model": SMALL_UNET, "dropout": 0.5, "batch_statistics": True},
        {"schedule": "plateau", "plateau_patience": 1, "warmup_steps": 2, "learning_rate": 10.0, "throttle_secs": 1e-9},
    ],
    ids=["adam", "adadelta", "sgd", "dropout-ema-cosine", "live-unet", "plateau"],
)
@pytest.mark.parametrize("stop", [2, 5])
def test_a_stopped_training_goes_on_to_the_same_weights_and_losses(tmp_path, keys, stop):
    keys = {"learning_rate": 1e-3, "train_max_steps": 6} | keys
    whole, stopped = Training(tmp_path / "whole", **keys), Training(tmp_path / "stopped", **keys)
    whole.fit()
    stopped.fit_until(stop)
    stopped.fit()
    assert_same_weights(stopped.weights(), whole.weights())
    assert_same_weights(stopped.weights("best"), whole.weights("best"))
    logs = [[r for r in read_records(t.run.metrics) if r.kind == "train"] for t in (stopped, whole)]
    assert [(r.step, r.metrics) for r in logs[0]] == [(r.step, r.metrics) for r in logs[1]]
    assert [record.step for record in logs[0]] == [1, 2, 3, 4, 5, 6]


def test_a_validation_that_was_stopped_is_done_when_training_goes_on(tmp_path):
    training = Training(tmp_path, model_choice="validation_loss")

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(validation_batches=interrupted)
    assert kept_steps(training.run.checkpoints) == [2]
    training.fit()
    assert training.validated() == [2, 6]
    assert [r.step for r in read_records(training.run.metrics) if r.kind == "validation"] == [2, 6]


def test_a_finished_training_trains_no_more_and_goes_on_when_given_more_steps(tmp_path):
    Training(tmp_path).fit()
    again = Training(tmp_path)
    assert again.fit().steps == 6
    assert again.reports == []
    longer = Training(tmp_path, train_max_steps=7)
    assert longer.fit().steps == 7
    assert len(longer.losses()) == 1


def test_validation_waits_for_throttle_secs_but_comes_at_the_end(tmp_path):
    throttled, eager = Training(tmp_path / "a"), Training(tmp_path / "b", throttle_secs=1e-9)
    for training in (throttled, eager):
        training.fit()
    assert throttled.validated() == [2, 6]
    assert eager.validated() == [2, 4, 6]


def test_a_validation_loss_is_the_mean_over_all_examples_of_all_batches(tmp_path):
    training = Training(tmp_path, train_max_steps=2, learning_rate=1e-30)
    mixture, targets = batch(7)
    batches = [batch(3), batch(5), (mixture[:1], targets[:1])]  # the last one is smaller
    training.fit(validation_batches=lambda: batches)
    network = build_trainable_network(training.config)
    errors = [np.abs(np.asarray(network(x)) - y).mean(axis=(2, 3, 4)).sum(axis=1) for x, y in batches]
    (record,) = (record for record in training.reports if record.kind == "validation")
    assert record.metrics["validation_loss"] == pytest.approx(np.concatenate(errors).mean(), rel=1e-5)


def score_by_step(*scores):
    """A song score for each validation in turn."""
    remaining = iter(scores)
    return lambda network, step: {"validation_SDR": next(remaining)}


def test_the_best_and_the_last_weights_are_kept_and_the_last_are_the_model(tmp_path):
    training = Training(tmp_path, throttle_secs=1e-9, learning_rate=1e-2)
    result = training.fit(validation_batches=lambda: [], score_songs=score_by_step(1.0, 2.0, 0.0))
    assert (result.model_step, read_checkpoint(build_network(training.config), training.run.last)) == (6, 6)
    assert_same_weights(training.weights(), training.weights("last"))


def test_the_model_is_the_best_by_sdr_where_the_config_says_so(tmp_path):
    training = Training(tmp_path, throttle_secs=1e-9, learning_rate=1e-2, model_choice="validation_sdr")
    result = training.fit(score_songs=score_by_step(1.0, 2.0, 0.0))
    assert (result.steps, result.model_step) == (6, 4)
    assert read_checkpoint(build_network(training.config), training.run.model) == 4
    assert_same_weights(training.weights(), training.weights("best"))
    assert not np.array_equal(training.weights()[0], training.weights("last")[0])


def test_where_no_song_can_be_scored_it_is_said_once_and_with_the_result(tmp_path, caplog):
    keys = {"throttle_secs": 1e-9, "model_choice": "validation_sdr", "patience": 1, "schedule": "plateau"}
    training = Training(tmp_path, plateau_patience=1, **keys)
    result = training.fit(score_songs=lambda network, step: {}, why_unscored=lambda: "song: no such file")
    assert (result.steps, result.ended_early, result.model_step) == (6, False, 6)
    assert result.choice_note == "last instead of validation_sdr: no validation had a score (song: no such file)"
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("step 2: no validation song could be scored (song: no such file)")
    assert {record.metrics["learning_rate"] for record in training.reports if record.kind == "train"} == {1e-4}


def test_a_validation_without_scores_among_others_decides_nothing(tmp_path):
    keys = {"throttle_secs": 1e-9, "model_choice": "validation_sdr", "patience": 2}
    scores = iter([{"validation_SDR": 2.0}, {}, {"validation_SDR": 1.0}])
    result = Training(tmp_path, **keys).fit(score_songs=lambda network, step: next(scores))
    assert (result.steps, result.model_step, result.choice_note) == (6, 2, None)


def test_the_best_step_is_told_after_each_validation(tmp_path):
    training, told = Training(tmp_path, throttle_secs=1e-9, model_choice="validation_sdr"), []
    training.fit(score_songs=score_by_step(1.0, 2.0, 0.0), validated=told.append)
    assert told == [2, 4, 4]


def test_with_other_validation_songs_the_best_is_chosen_anew(tmp_path):
    keys = {"throttle_secs": 1e-9, "model_choice": "validation_sdr"}
    Training(tmp_path, train_max_steps=4, **keys).fit(score_songs=score_by_step(9.0, 8.0))
    longer = Training(tmp_path, **keys)
    forget_selections(longer.run.checkpoints)
    assert longer.fit(score_songs=score_by_step(1.0, 2.0)).model_step == 6
    assert longer.validated() == [4, 6]


def test_a_checkpoint_of_another_network_is_refused_and_the_folder_left_as_it_is(tmp_path):
    training = Training(tmp_path, train_max_steps=2)
    training.fit()
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with raises(CheckpointError, "network", path=training.run.checkpoints / "step-2.npz", hint="--fresh"):
        check_checkpoint_fits(small_config(model=SMALL_UNET), training.run)
    check_checkpoint_fits(small_config(model=TINY, learning_rate=0.5), training.run)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_patience_ends_a_training_and_it_stays_ended(tmp_path):
    keys = {"throttle_secs": 1e-9, "model_choice": "validation_sdr", "patience": 1}
    result = Training(tmp_path, **keys).fit(score_songs=score_by_step(2.0, 1.0))
    assert (result.steps, result.ended_early, result.model_step) == (4, True, 2)
    again = Training(tmp_path, **keys)
    assert again.fit() == result
    assert again.losses() == []


def test_the_running_mean_of_the_weights_is_what_is_validated_and_kept(tmp_path):
    training = Training(tmp_path, ema=0.9, learning_rate=1e-1, train_max_steps=4)
    seen = []
    training.fit(score_songs=lambda network, step: seen.append(network.get_weights()) or {})
    assert_same_weights(training.weights(), seen[-1])
    stored = np.load(training.run.checkpoints / "step-4.npz")
    assert not np.array_equal(training.weights()[0], stored["00000"])


def test_the_learning_rate_of_the_step_is_used_and_logged(tmp_path):
    keys = {"optimizer": "SGD", "train_max_steps": 1}
    warm = Training(tmp_path / "warm", learning_rate=1.0, warmup_steps=4, **keys)
    small = Training(tmp_path / "small", learning_rate=0.25, **keys)
    warm.fit()
    small.fit()
    assert_same_weights(warm.weights(), small.weights())
    assert [record.metrics["learning_rate"] for record in warm.reports if record.kind == "train"] == [0.25]


def test_two_checkpoints_are_kept(tmp_path):
    training = Training(tmp_path)
    training.fit()
    assert kept_steps(training.run.checkpoints) == [4, 6]


def spoilt(step):
    mixture, targets = batch(step)
    return mixture * (np.nan if step == 4 else 1), targets


def test_a_loss_that_is_not_finite_stops_with_step_songs_and_offsets_and_keeps_the_checkpoint(tmp_path):
    training = Training(tmp_path)
    with raises(TrainingError, "step 5", "nan", "A at 4 s", "B at 4 s", hint=training.run.checkpoints) as caught:
        training.fit(spoilt, describe_batch=lambda step: [f"A at {step} s", f"B at {step} s"])
    assert "learning_rate" in caught.value.hint
    assert kept_steps(training.run.checkpoints) == [2, 4]
    assert training.fit().steps == 6  # the songs mended


def test_weights_that_are_not_finite_do_not_replace_the_last_good_ones(tmp_path):
    # One huge step, whose own loss is still that of before.
    keys = {"optimizer": "SGD", "learning_rate": 1e38, "loss_type": "L2_mask"}
    training = Training(tmp_path, save_checkpoints_steps=1, **keys)
    with raises(TrainingError, "step 1", "weights", hint="learning_rate"):
        training.fit(lambda step: (batch(step)[0], 1e6 * batch(step)[1]))
    assert kept_steps(training.run.checkpoints) == []


@pytest.mark.parametrize(("full_at", "resumes"), [(2, "again"), (4, "step 2")])
def test_a_full_disk_ends_a_training_with_its_step_and_where_it_resumes(tmp_path, monkeypatch, full_at, resumes):
    training = Training(tmp_path)

    def save(network, folder, *, step):
        if step == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save_training_state(network, folder, step=step)

    monkeypatch.setattr(trainer, "save_training_state", save)
    named = ("checkpoint", f"step {full_at}", os.strerror(errno.ENOSPC))
    with raises(TrainingError, *named, path=tmp_path, hint="Free some space") as caught:
        training.fit()
    assert resumes in caught.value.hint
    assert caught.value.errno == errno.ENOSPC


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    training = Training(tmp_path / "run")
    (tmp_path / "run").mkdir()
    with filelock.FileLock(training.run.lock), raises(TrainingError, path=tmp_path / "run", hint="--work-dir"):
        training.fit()


def test_a_damaged_checkpoint_is_named(tmp_path):
    training = Training(tmp_path, train_max_steps=2)
    training.fit()
    path = training.run.checkpoints / "step-2.npz"
    path.write_bytes(path.read_bytes()[:1000])
    with raises(CheckpointError, path=path):
        Training(tmp_path, train_max_steps=4).fit()
