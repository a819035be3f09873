import keras
import numpy as np
import pytest

from sepcore.errors import TrainingError
from sepcore.networks.keras_settings import dtype_policy
from sepcore.training.devices import device_count, parallel_devices, set_up_devices
from sepcore.training.optimizers import build_trainable_network
from tests.models import TINY_COMPLEX, small_config
from tests.raised import raises
from tests.training.apart import train_apart


def test_without_a_gpu_and_without_being_asked_the_cpu_does_all():
    config = small_config()
    set_up_devices(config)
    assert parallel_devices(config) is None


@pytest.mark.parametrize(("batch_size", "num_gpus", "used"), [(4, 0, 1), (4, 1, 1), (4, 2, 2), (4, 3, 2), (6, 3, 3)])
def test_all_gpus_that_can_have_equal_parts_of_a_batch_are_used(batch_size, num_gpus, used):
    assert device_count(small_config(batch_size=batch_size), num_gpus) == used


def test_gpus_that_are_not_there_are_refused():
    with raises(TrainingError, "num_devices is 4", "2 GPUs", hint="num_devices to 2"):
        device_count(small_config(num_devices=4, batch_size=4), 2)


def test_devices_that_come_too_late_are_refused_in_one_line():
    keras.ops.zeros(1)
    with raises(TrainingError, "num_devices is 2", "TensorFlow", hint="process") as caught:
        set_up_devices(small_config(num_devices=2))
    assert "\n" not in str(caught.value)


def test_a_step_compiled_with_xla_is_refused_on_several_devices():
    with raises(TrainingError, "jit is true", "2 devices", hint="num_devices"):
        parallel_devices(small_config(num_devices=2, jit=True))


@pytest.mark.parametrize("name", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_a_precision_is_the_networks_own_with_float32_weights_and_estimates(name):
    before = keras.config.dtype_policy()
    network = build_trainable_network(small_config(precision=name))
    assert keras.config.dtype_policy() is before
    assert network.dtype_policy.name == name
    assert {variable.dtype for variable in network.weights} == {network.output.dtype} == {"float32"}


def test_a_failure_while_a_network_is_built_leaves_the_precision_as_it_was():
    before = keras.config.dtype_policy()
    with pytest.raises(ZeroDivisionError), dtype_policy("mixed_float16"):
        raise ZeroDivisionError
    assert keras.config.dtype_policy() is before


def test_losses_of_half_precision_are_scaled():
    optimizers = [
        build_trainable_network(small_config(precision=f"mixed_{name}")).optimizer for name in ("float16", "bfloat16")
    ]
    assert [isinstance(optimizer, keras.optimizers.LossScaleOptimizer) for optimizer in optimizers] == [True, False]


def stored(folder):
    with np.load(folder / "checkpoints" / "step-6.npz") as arrays:
        return list(arrays.values())


@pytest.mark.slow
def test_two_devices_train_as_one_also_where_the_whole_batch_counts(tmp_path):
    # Clipping and batch norm see the whole batch: on devices left to themselves, each would see its part.
    # (SGD: Adam would blow round-off up where a gradient is nearly zero.)
    whole = {"optimizer": "SGD", "learning_rate": 1.0, "clip_norm": 0.01, "batch_statistics": True, "ema": 0.5}
    cases = [{}, whole]
    trainings = [
        (tmp_path / f"{case}-{count}", {"num_devices": count, **keys})
        for case, keys in enumerate(cases)
        for count in (2, 1)  # two first: devices are split before TensorFlow starts
    ]
    losses = train_apart(trainings)
    for case in range(len(cases)):
        two, one = (tmp_path / f"{case}-{count}" for count in (2, 1))
        np.testing.assert_allclose(losses[2 * case], losses[2 * case + 1], atol=1e-5)
        for ours, theirs in zip(stored(two), stored(one), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.slow
def test_two_devices_train_a_complex_network_as_one(tmp_path):
    keys = {"model": TINY_COMPLEX, "loss_type": "multi_stft", "clip_norm": 0.01}
    two, one = train_apart([(tmp_path / str(count), {"num_devices": count, **keys}) for count in (2, 1)])
    np.testing.assert_allclose(two, one, rtol=1e-5)
    for ours, theirs in zip(stored(tmp_path / "2"), stored(tmp_path / "1"), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.long
def test_losses_are_scaled_alike_on_two_devices(tmp_path):
    keys = {"precision": "mixed_float16", "learning_rate": 1e-4}
    two, one = train_apart([(tmp_path / str(count), {"num_devices": count, **keys}) for count in (2, 1)])
    np.testing.assert_allclose(two, one, atol=1e-3)


@pytest.mark.long
def test_a_training_on_two_devices_goes_on_where_it_stopped(tmp_path):
    keys = {"num_devices": 2, "dropout": 0.5, "deterministic": True}
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train_apart([(whole, keys), (stopped, {**keys, "train_max_steps": 3})])
    train_apart([(stopped, keys)])
    for ours, theirs in zip(stored(stopped), stored(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
