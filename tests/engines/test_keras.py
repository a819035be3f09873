import subprocess
import sys

import numpy as np
import pytest

from sepcore.engines.keras import KerasEngine, TensorFlowEngine
from sepcore.networks.registry import build_network
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY, randomize, small_config

pytestmark = pytest.mark.slow


def network_of(config, seed=0):
    network = build_network(config)
    randomize(network, seed)
    network.compile(jit_compile=False)
    return network


def separated(engine, waveform, cuts=()):
    return np.concatenate(list(engine.separate(np.split(waveform, cuts))), axis=1)


@pytest.fixture
def waveform():
    return np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 2)).astype(np.float32)


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX, SMALL_BLSTM])
def test_the_stems_are_those_of_the_reference_engine(model, waveform):
    config = small_config(model=model)
    network = network_of(config)
    expected = separated(TensorFlowEngine(config, network), waveform)
    stems = separated(KerasEngine(config, network), waveform, cuts=[5000, 5001, 17_000])
    assert stems.shape == (2, *waveform.shape)
    assert np.abs(stems - expected).max() < 1e-5 * np.abs(expected).max()


def test_new_weights_count_at_once_and_nothing_is_traced_again(waveform):
    config = small_config(model=TINY)
    network = network_of(config)
    before = separated(KerasEngine(config, network), waveform)
    traces = network.predict_function.experimental_get_tracing_count()
    randomize(network, seed=1)
    after = separated(KerasEngine(config, network), waveform)
    assert np.abs(after - before).max() > 0.01
    np.testing.assert_allclose(after, separated(TensorFlowEngine(config, network), waveform), atol=1e-6)
    assert network.predict_function.experimental_get_tracing_count() == traces == 1


def test_dropout_does_not_drop_at_separation(waveform):
    stems = []
    for dropout in (0.0, 0.9):
        config = small_config(model=TINY, dropout=dropout)
        stems.append(separated(KerasEngine(config, network_of(config)), waveform))
    np.testing.assert_array_equal(*stems)


def test_half_precision_comes_out_as_float32():
    config = small_config(model=TINY)

    class HalfPrecision:
        def predict_on_batch(self, magnitudes):
            return np.stack([magnitudes, magnitudes / 2], axis=1).astype(np.float16)

    magnitudes = np.ones((1, config.segment_frames, config.num_bins, 2), np.float32)
    assert KerasEngine(config, HalfPrecision()).estimate(magnitudes).dtype == np.float32


_ELSEWHERE = """
import numpy as np
{set_up}
from sepcore.engines.keras import KerasEngine
from tests.engines.test_keras import TINY, network_of, small_config

config = small_config(model=TINY)
with {scope}:
    network = network_of(config)
magnitudes = np.random.default_rng(0).uniform(0, 1, (1, config.segment_frames, config.num_bins, 2)).astype(np.float32)
estimates = KerasEngine(config, network).estimate(magnitudes)
assert estimates.shape == (1, 2, *magnitudes.shape[1:]), estimates.shape
expected = np.asarray(network(magnitudes, training=False))
np.testing.assert_allclose(estimates, expected, atol=1e-5)
"""
_TWO_DEVICES = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
"""


@pytest.mark.parametrize(
    ("backend", "set_up", "scope"),
    [
        ("jax", "import contextlib", "contextlib.nullcontext()"),
        ("tensorflow", _TWO_DEVICES, 'tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()'),
    ],
    ids=["jax", "mirrored"],
)
def test_estimates_are_the_networks_on_another_backend_and_on_two_devices(backend, set_up, scope, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    code = _ELSEWHERE.format(set_up=set_up, scope=scope)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
