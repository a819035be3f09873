"""The optimizers of a config, with TensorFlow 1's constants where Keras 3 has others."""

from typing import Any

import keras

from sepcore.config import ModelConfig

_TF1_EPSILON = 1e-8  # Keras: 1e-7
_TF1_ADADELTA_RATE = 0.001  # Spleeter does not hand its learning_rate to Adadelta


def build_optimizer(config: ModelConfig) -> Any:
    """A fresh `keras.optimizers.Optimizer` as Spleeter's ``optimizer`` and ``learning_rate`` mean it."""
    if config.optimizer == "Adadelta":
        return keras.optimizers.Adadelta(_TF1_ADADELTA_RATE, rho=0.95, epsilon=_TF1_EPSILON)
    if config.optimizer == "SGD":
        return keras.optimizers.SGD(config.learning_rate)
    return keras.optimizers.Adam(config.learning_rate, epsilon=_TF1_EPSILON)
