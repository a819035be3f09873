import numpy as np
import pytest
import scipy.fft
import scipy.signal
import tensorflow as tf

from sepcore.config.training import COMPLEX_LOSSES
from sepcore.errors import ConfigError
from sepcore.training.complex_losses import complex_stem_losses
from sepcore.training.losses import build_loss
from sepcore.training.optimizers import build_trainable_network
from sepcore.training.spectra import batch_spectra
from tests.models import TINY_COMPLEX, small_config
from tests.raised import raises

EVERY_LOSS = pytest.mark.parametrize("loss_type", COMPLEX_LOSSES)
FRAME, HOP, BINS = 512, 128, 257


def complex_config(loss_type, **keys):
    return small_config(model=TINY_COMPLEX, loss_type=loss_type, **keys)


def noise(config, seed=0):
    """Stems of three examples, ``(batch, stems, samples, channels)``, of different loudness."""
    shape = (3, 2, config.segment_samples, config.num_channels)
    loudness = np.arange(1, 7).reshape(3, 2, 1, 1) / 10
    return (loudness * np.random.default_rng(seed).uniform(-1, 1, shape)).astype(np.float32)


def spectra_of(waveforms, config):
    return np.asarray(batch_spectra(config)((waveforms[:, 0], waveforms))[1])


def losses(config, targets, estimates):
    return np.asarray(complex_stem_losses(config)(tf.constant(targets), tf.constant(estimates)))


def gradient(config, targets, estimates):
    estimates = tf.constant(estimates)
    with tf.GradientTape() as tape:
        tape.watch(estimates)
        total = tf.reduce_sum(build_loss(config)(tf.constant(targets), estimates))
    return np.asarray(tape.gradient(total, estimates))


@EVERY_LOSS
@pytest.mark.parametrize("num_bins", [64, BINS])
def test_a_perfect_estimate_has_no_error_with_any_number_of_bins(loss_type, num_bins):
    config = complex_config(loss_type, F=num_bins)
    targets = spectra_of(noise(config), config)
    assert (losses(config, targets, targets) == 0).all()


def test_spectral_losses_are_numpys():
    config = complex_config("L1_complex")
    targets, estimates = (spectra_of(noise(config, seed), config) for seed in (0, 1))
    errors = (estimates - targets).astype(float)
    np.testing.assert_allclose(losses(config, targets, estimates), np.abs(errors).mean(axis=(2, 3, 4)), rtol=1e-5)
    config = complex_config("RMSE_complex")
    np.testing.assert_allclose(losses(config, targets, estimates), np.sqrt((errors**2).mean(axis=(2, 3, 4))), rtol=1e-5)


def covered(waveforms):
    """The samples of a segment that all their frames cover."""
    return waveforms[:, :, FRAME - HOP : -(FRAME - HOP)].astype(float)


GEOMETRY = pytest.mark.parametrize(
    "keys",
    [{}, {"stft_window": "rectangular", "stft_normalized": True}, {"n_channels": 1}],
    ids=["hann", "scnet", "mono"],
)


@GEOMETRY
def test_waveforms_are_compared_with_the_targets_own_where_all_bins_are_there(keys):
    config = complex_config("L1_waveform", F=BINS, **keys)
    true, estimated = noise(config), noise(config, 1)
    found = losses(config, spectra_of(true, config), spectra_of(estimated, config))
    expected = np.abs(covered(estimated) - covered(true)).mean(axis=(2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_with_fewer_bins_waveforms_are_compared_by_what_those_bins_hold():
    config = complex_config("L1_waveform", F=64)
    time = np.arange(config.segment_samples) / config.sample_rate
    # 300 Hz lie below bin 64, at 1000 Hz, and 3000 Hz far above it.
    low, high = (np.sin(2 * np.pi * hz * time).astype(np.float32)[:, None].repeat(2, axis=1) for hz in (300, 3000))
    shape = (3, 2, *low.shape)
    silent, estimate = np.zeros(shape, np.float32), np.broadcast_to(low, shape)
    audible = losses(config, spectra_of(silent, config), spectra_of(estimate, config))
    hidden = losses(config, spectra_of(estimate + high, config), spectra_of(estimate, config))
    np.testing.assert_allclose(audible, np.abs(covered(estimate)).mean(axis=(2, 3)), rtol=1e-2)
    assert hidden.max() < 1e-3 * audible.min()


def magnitudes(waveforms, length):
    """Those of frames of a length, a quarter of it apart, windowed by Hann's, of unit energy."""
    frames = np.lib.stride_tricks.sliding_window_view(waveforms, length, axis=2)[:, :, :: length // 4]
    window = scipy.signal.get_window("hann", length)
    return np.abs(scipy.fft.rfft(frames * window / np.sqrt((window**2).sum())))


@GEOMETRY
def test_multi_stft_adds_the_mean_error_of_magnitudes_at_three_sizes_to_that_of_waveforms(keys):
    config = complex_config("multi_stft", F=BINS, **keys)
    true, estimated = noise(config), noise(config, 1)
    found = losses(config, spectra_of(true, config), spectra_of(estimated, config))
    true, estimated = covered(true), covered(estimated)
    sizes = [np.abs(magnitudes(estimated, n) - magnitudes(true, n)).mean(axis=(2, 3, 4)) for n in (2048, 1024, 512)]
    expected = np.abs(estimated - true).mean(axis=(2, 3)) + np.mean(sizes, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@EVERY_LOSS
@pytest.mark.parametrize("num_bins", [64, BINS])
def test_gradients_are_those_of_differences(loss_type, num_bins):
    config = complex_config(loss_type, F=num_bins)
    targets, estimates = (spectra_of(noise(config, seed), config) for seed in (0, 1))
    # Along the error itself every loss grows by its own size, to the first order: large enough for float32.
    direction = estimates - targets
    step = np.float32(0.05)
    up, down = (losses(config, targets, estimates + sign * step * direction).sum() for sign in (1, -1))
    slope = (gradient(config, targets, estimates).astype(float) * direction).sum()
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-3)


@EVERY_LOSS
@pytest.mark.parametrize("error", [0.0, 1e-30, 1e-20, 1e-10])
def test_gradients_of_silence_are_finite(loss_type, error):
    config = complex_config(loss_type)
    targets = np.zeros((3, 2, 64, 64, 4), np.float32)
    found = gradient(config, targets, targets + np.float32(error))
    assert np.isfinite(found).all()
    if error == 0:
        assert (found == 0).all()


@EVERY_LOSS
def test_an_estimate_that_is_not_a_number_has_no_finite_loss(loss_type):
    config = complex_config(loss_type)
    targets = spectra_of(noise(config), config)
    estimates = targets.copy()
    estimates[0, 0, 32, 5, 1] = np.nan
    assert np.isnan(losses(config, targets, estimates)).tolist() == [[True, False], [False, False], [False, False]]


@EVERY_LOSS
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("silent", ["stem", "mixture"])
def test_a_silent_stem_or_mixture_estimated_as_silence_leaves_losses_and_weights_finite(loss_type, precision, silent):
    config = complex_config(loss_type, precision=precision, optimizer="SGD")
    network = build_trainable_network(config)
    network.set_weights([np.zeros_like(values) for values in network.get_weights()])  # all is silence
    stems = noise(config)
    stems[:, 0 if silent == "stem" else slice(None)] = 0
    logs = network.train_on_batch(*batch_spectra(config)((stems.sum(axis=1), stems)), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    assert logs["stem_0"] == 0
    assert (logs["stem_1"] > 0) == (silent == "stem")
    assert all(np.isfinite(values).all() for values in network.get_weights())


@pytest.mark.parametrize(
    ("loss_type", "frames", "least"), [("L1_waveform", 3, 4), ("multi_stft", 18, 19), ("multi_stft", 4, 19)]
)
def test_a_segment_too_short_for_its_loss_is_refused_with_the_least_length(loss_type, frames, least):
    with raises(ConfigError, f"T is {frames}", loss_type, f"T = {least}"):
        complex_config(loss_type, T=frames)
    complex_config(loss_type, T=least)
