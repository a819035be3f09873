import numpy as np
import pytest

from sepcore.config.training import COMPLEX_LOSSES
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY_COMPLEX, small_config
from tests.training.apart import train, train_apart, write_model

pytestmark = pytest.mark.slow

pytest.importorskip("jax")

NETWORKS = {"unet": SMALL_UNET, "softmax": SMALL_SOFTMAX, "blstm": SMALL_BLSTM}


def test_every_network_trains_under_jax_as_under_tensorflow_from_the_same_weights(tmp_path):
    keys = {}
    for name, model in NETWORKS.items():
        write_model(tmp_path / name, model=model)
        keys[name] = {"model": model, "init_from": str(tmp_path / name)}
    keys["waveforms"] = {**keys["unet"], "cache_content": "waveform"}
    under_jax = train_apart([(tmp_path / f"{name}-jax", keys[name]) for name in keys], KERAS_BACKEND="jax")
    for name, losses in zip(keys, under_jax, strict=True):
        np.testing.assert_allclose(losses, train(tmp_path / f"{name}-tensorflow", **keys[name]), atol=1e-3)
        network = build_network(small_config(model=keys[name]["model"]))
        assert read_checkpoint(network, tmp_path / f"{name}-jax" / "model") == 6  # as TensorFlow reads it


def test_a_complex_network_trains_under_jax_as_under_tensorflow_by_every_loss(tmp_path):
    write_model(tmp_path / "initial", model=TINY_COMPLEX)
    keys = {"model": TINY_COMPLEX, "init_from": str(tmp_path / "initial")}
    under_jax = train_apart(
        [(tmp_path / f"{loss}-jax", keys | {"loss_type": loss}) for loss in COMPLEX_LOSSES], KERAS_BACKEND="jax"
    )
    for loss, losses in zip(COMPLEX_LOSSES, under_jax, strict=True):
        np.testing.assert_allclose(losses, train(tmp_path / loss, loss_type=loss, **keys), rtol=1e-5)


@pytest.mark.long
def test_two_devices_of_jax_train_as_one(tmp_path):
    keys = {"clip_norm": 0.01, "batch_statistics": True, "ema": 0.5}
    # Two first: the CPU is split before JAX starts.
    trainings = [(tmp_path / str(count), {"num_devices": count, **keys}) for count in (2, 1)]
    two, one = train_apart(trainings, KERAS_BACKEND="jax")
    np.testing.assert_allclose(two, one, rtol=1e-5)
