import keras
import numpy as np
import pytest

from sepcore.training.optimizers import averaged_weights, build_optimizer, learning_rate
from tests.models import small_config


def rates(steps, **keys):
    config = small_config(learning_rate=0.1, **keys)
    return [learning_rate(config, step) for step in steps]


def test_by_default_the_rate_is_constant():
    assert rates([0, 99_999]) == [0.1, 0.1]


def test_adadelta_keeps_tensorflow_1s_rate():
    assert rates([0], optimizer="Adadelta") == [0.001]


def test_warm_up_rises_in_equal_steps_to_the_rate():
    assert rates(range(5), warmup_steps=4) == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1])


def test_a_cosine_falls_from_the_end_of_the_warm_up_to_zero_at_the_last_step():
    cosine = rates(range(2, 13), schedule="cosine", warmup_steps=2, train_max_steps=12)
    assert cosine == pytest.approx(0.05 * (1 + np.cos(np.pi * np.arange(11) / 10)))


def test_plateaus_multiply_the_rate():
    assert learning_rate(small_config(learning_rate=0.1), 3, 0.25) == pytest.approx(0.025)


@pytest.mark.parametrize(
    ("name", "update"),
    # TensorFlow 1's first step from a gradient of 0.5: Adam lr * g / (|g| + epsilon); SGD lr * g; Adadelta
    # rate * g * sqrt(epsilon) / sqrt(0.05 * g^2 + epsilon).
    [
        ("Adam", 0.1 * 0.5 / (0.5 + 1e-8 / np.sqrt(1e-3))),
        ("SGD", 0.05),
        ("Adadelta", 0.001 * 0.5 * np.sqrt(1e-8) / np.sqrt(0.05 * 0.25 + 1e-8)),
    ],
)
def test_the_first_step_is_tensorflow_1s(name, update):
    optimizer, weight = build_optimizer(small_config(optimizer=name, learning_rate=0.1)), keras.Variable([0.0])
    optimizer.apply([np.array([0.5], np.float32)], [weight])
    assert -float(weight[0]) == pytest.approx(update, rel=1e-4)


def test_gradients_are_scaled_to_the_norm_taken_over_all_weights():
    optimizer = build_optimizer(small_config(optimizer="SGD", learning_rate=1.0, clip_norm=1.0))
    weights = [keras.Variable([0.0]), keras.Variable([0.0])]
    optimizer.apply([np.array([3.0], np.float32), np.array([4.0], np.float32)], weights)
    assert [float(weight[0]) for weight in weights] == pytest.approx([-0.6, -0.8])


def one_weight(config):
    inputs = keras.Input((1,))
    network = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")(inputs))
    network.compile(optimizer=build_optimizer(config), loss=lambda target, estimate: target - estimate)
    return network


def test_the_running_mean_of_the_weights_is_there_only_inside_the_block():
    config = small_config(optimizer="SGD", learning_rate=1.0, ema=0.5)
    network = one_weight(config)
    for _ in range(3):  # the weight goes 1, 2, 3; its mean starts at 1
        network.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    with averaged_weights(network, config):
        assert float(network.get_weights()[0][0, 0]) == pytest.approx(((1 + 2) / 2 + 3) / 2)
    assert float(network.get_weights()[0][0, 0]) == pytest.approx(3)


def test_without_ema_the_weights_are_left_as_they_are():
    config = small_config(optimizer="SGD", learning_rate=1.0)
    network = one_weight(config)
    network.train_on_batch(np.ones((1, 1)), np.ones((1, 1)))
    with averaged_weights(network, config):
        assert float(network.get_weights()[0][0, 0]) == pytest.approx(1)
