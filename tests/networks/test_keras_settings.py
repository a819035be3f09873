import numpy as np
import pytest
import tensorflow as tf

from sepcore.engines.keras import KerasEngine, TensorFlowEngine
from sepcore.networks.keras_settings import use_full_float32
from sepcore.networks.registry import build_network
from sepcore.training.devices import set_up_devices
from tests.models import TINY, small_config

uses_tf32 = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(autouse=True)
def _as_it_was():
    before = uses_tf32()
    yield
    use_full_float32(not before)


class Network:
    """Notes in which arithmetic it is asked."""

    def predict_on_batch(self, magnitudes):
        self.used_tf32 = uses_tf32()
        return magnitudes[:, None]


def test_separation_multiplies_in_float32():
    set_up_devices(small_config())
    assert uses_tf32()
    TensorFlowEngine(small_config(model=TINY), build_network(small_config(model=TINY)))
    assert not uses_tf32()


@pytest.mark.parametrize("deterministic", [False, True])
def test_a_training_multiplies_in_tf32_unless_deterministic_and_its_scores_never_do(deterministic, monkeypatch):
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)  # nothing takes it back
    use_full_float32(not deterministic)  # as something before may have left it
    set_up_devices(small_config(deterministic=deterministic))
    assert uses_tf32() is not deterministic
    KerasEngine(small_config(), network := Network()).estimate(np.ones((1, 64, 64, 2), np.float32))
    assert not network.used_tf32
    assert uses_tf32() is not deterministic


def test_every_network_that_is_built_lets_a_gpus_memory_grow(monkeypatch):
    # This machine may have no GPU: TensorFlow's answers are made up.
    gpu, other = (tf.config.PhysicalDevice(f"/physical_device:GPU:{number}", "GPU") for number in range(2))
    grows = {other: True}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu, other] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", lambda device: grows.get(device))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grows.__setitem__)
    build_network(small_config(model=TINY))
    assert grows == {gpu: True, other: True}


def test_memory_that_was_taken_before_stays_as_it_is(monkeypatch):
    def refuse(device, grow):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    gpu = tf.config.PhysicalDevice("/physical_device:GPU:0", "GPU")
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [gpu] if kind == "GPU" else [])
    monkeypatch.setattr(tf.config.experimental, "get_memory_growth", lambda device: None)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    assert build_network(small_config(model=TINY)).built
