"""Trainings of complex networks: all that a training has, on made-up waveforms."""

import itertools

import numpy as np
import pytest
import scipy.fft

from sepcore.config.training import COMPLEX_LOSSES
from sepcore.errors import TrainingError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.training.checkpoints import kept_steps
from sepcore.training.metrics_log import read_records
from sepcore.training.run_folder import RunFolder
from sepcore.training.trainer import TrainingWork, fit
from tests.models import TINY_COMPLEX, small_config
from tests.raised import raises

# What has a state of its own, or changes the step.
KEYS = {"dropout": 0.5, "ema": 0.5, "clip_norm": 0.1, "schedule": "cosine", "warmup_steps": 2}
PRECISIONS = ["mixed_bfloat16", "mixed_float16"]


def batch(step):
    """Mixture and stems of two examples as `sepcore.dataset.batches` gives them."""
    stems = np.random.default_rng(step).uniform(-0.5, 0.5, (2, 2, 63 * 128 + 512, 2)).astype(np.float32)
    return stems.sum(axis=1), stems


class Training:
    """A training of the tiny complex network, with what it reported."""

    def __init__(self, path, **keys):
        fixed = {"train_max_steps": 6, "save_checkpoints_steps": 2, "save_summary_steps": 1, "throttle_secs": 1e9}
        self.config = small_config(model=TINY_COMPLEX, **fixed | {"learning_rate": 1e-3} | keys)
        self.run = RunFolder(path)
        self.reports = []

    def fit(self, batches=batch, validation_batches=lambda: [batch(1000)], **work):
        given = TrainingWork(
            training_batches=lambda first: (batches(step) for step in itertools.count(first)),
            validation_batches=validation_batches,
            report=self.reports.append,
            **work,
        )
        return fit(self.config, self.run, given)

    def weights(self, folder="model"):
        network = build_network(self.config)
        read_checkpoint(network, self.run.path / folder)
        return network.get_weights()

    def metrics(self, kind):
        return [dict(record.metrics) for record in self.reports if record.kind == kind]


@pytest.mark.parametrize("loss_type", COMPLEX_LOSSES)
def test_training_lowers_every_loss_which_is_the_sum_of_the_instruments(loss_type, tmp_path):
    training = Training(tmp_path, loss_type=loss_type, learning_rate=1e-2)
    assert training.fit(lambda step: batch(0)).steps == 6
    records = training.metrics("train")
    assert records[-1]["train_loss"] < records[0]["train_loss"]
    for metrics in records:
        parts = metrics["train_loss_vocals"] + metrics["train_loss_accompaniment"]
        assert metrics["train_loss"] == pytest.approx(parts, rel=1e-5)


def spectra(waveforms):
    """``(…, samples, channels)`` to ``(…, 64 frames, 64 bins, channels · real and imaginary part)``."""
    frames = np.lib.stride_tricks.sliding_window_view(waveforms.astype(float), 512, axis=-2)[..., ::128, :, :]
    window = np.hanning(513)[:-1]
    values = np.moveaxis(scipy.fft.rfft(frames * window)[..., :64], -1, -2)
    return np.stack([values.real, values.imag], axis=-1).reshape(*values.shape[:-1], -1)


def test_losses_are_numpys_of_the_spectra_of_the_batch_in_training_and_in_validation(tmp_path):
    training = Training(tmp_path, train_max_steps=1, learning_rate=1e-30)
    mixture, stems = batch(7)
    batches = [batch(3), batch(5), (mixture[:1], stems[:1])]  # the last one is smaller
    training.fit(validation_batches=lambda: batches)
    kernels = training.weights()

    def losses(mixture, stems):
        seen = spectra(mixture)
        estimates = [seen @ kernels[0] + kernels[1], seen @ kernels[2] + kernels[3]]
        errors = np.stack(estimates, axis=1) - spectra(stems)
        return np.sqrt((errors**2).mean(axis=(2, 3, 4))).sum(axis=1)

    (trained,), (validated,) = training.metrics("train"), training.metrics("validation")
    assert trained["train_loss"] == pytest.approx(losses(*batch(0)).mean(), rel=1e-4)
    expected = np.concatenate([losses(*one) for one in batches]).mean()
    assert validated["validation_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("loss_type", ["RMSE_complex", "multi_stft"])
@pytest.mark.parametrize("stop", [2, 5])
def test_a_stopped_training_goes_on_to_the_same_weights_and_losses(tmp_path, loss_type, stop):
    keys = {"loss_type": loss_type, "deterministic": True, **KEYS}
    whole, stopped = Training(tmp_path / "whole", **keys), Training(tmp_path / "stopped", **keys)
    whole.fit()

    def interrupted(step):
        if step == stop - 1:
            raise KeyboardInterrupt
        return batch(step)

    with pytest.raises(KeyboardInterrupt):
        stopped.fit(interrupted)
    stopped.fit()
    for folder in ("model", "best"):
        for ours, theirs in zip(stopped.weights(folder), whole.weights(folder), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    logs = [[r for r in read_records(t.run.metrics) if r.kind != "system"] for t in (stopped, whole)]
    assert [(r.step, r.metrics) for r in logs[0]] == [(r.step, r.metrics) for r in logs[1]]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_network_of_half_precision_trains_by_losses_of_float32(precision, tmp_path):
    half, full = Training(tmp_path / "half", precision=precision), Training(tmp_path / "full")
    for training in (half, full):
        training.fit()
    losses = [[metrics["train_loss"] for metrics in training.metrics("train")] for training in (half, full)]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-2)
    assert losses[0] != losses[1]


def test_a_plateau_and_a_choice_by_validation_loss_work_as_for_magnitudes(tmp_path):
    keys = {"model_choice": "validation_loss", "schedule": "plateau", "plateau_patience": 1, "throttle_secs": 1e-9}
    training = Training(tmp_path, optimizer="SGD", learning_rate=1.0, **keys)
    result = training.fit()
    losses = {
        record.step: record.metrics["validation_loss"] for record in training.reports if record.kind == "validation"
    }
    assert result.model_step == min(losses, key=losses.get)


@pytest.mark.parametrize("loss_type", COMPLEX_LOSSES)
def test_a_loss_that_is_not_finite_names_the_songs_and_keeps_the_last_checkpoint(loss_type, tmp_path):
    training = Training(tmp_path, loss_type=loss_type)

    def spoilt(step):
        mixture, stems = batch(step)
        return mixture * (np.nan if step == 4 else 1), stems

    with raises(TrainingError, "step 5", "nan", "A at 4 s", hint=training.run.checkpoints):
        training.fit(spoilt, describe_batch=lambda step: [f"A at {step} s"])
    assert kept_steps(training.run.checkpoints) == [2, 4]
    assert training.fit().steps == 6


def test_songs_are_scored_with_the_network_that_takes_spectra(tmp_path):
    training, seen = Training(tmp_path, train_max_steps=2), []

    def score(network, step):
        seen.append((step, network.input_shape, network.output_shape))
        return {"validation_SDR": 1.0}

    training.fit(score_songs=score)
    assert seen == [(2, (None, 64, 64, 4), (None, 2, 64, 64, 4))]
    assert training.metrics("validation")[0]["validation_SDR"] == 1.0
