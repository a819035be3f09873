"""What Spleeter's networks share: one part per instrument, names in its checkpoints, and initial weights."""

import re
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from sepcore.config.model_config import ModelConfig

# Spleeter's; all its layers of one shape start from the same values.
_INITIALIZER_SEED = 50


class InstrumentNetwork(keras.layers.Layer):
    """One instrument's part of a network."""

    def spleeter_layers(self) -> list[tuple[str, Any]]:
        """All layers in the order in which Spleeter creates them, each with its kind's name in a checkpoint."""
        raise NotImplementedError


def stack_instruments(inputs: Any, config: ModelConfig, build: Callable[[str], InstrumentNetwork]) -> Any:
    """The outputs of one network per instrument for ``inputs``, float32 ``(batch, stems, T, F, channels)``.

    Args:
        inputs: Magnitudes of the mixture ``(batch, T, F, channels)``.
        config: Names the instruments.
        build: Makes an instrument's network from its layer name.
    """
    # A layer name that Keras and TensorFlow take, whatever characters the instrument's name has.
    nets = [
        build(f"{index}_" + re.sub(r"[^0-9A-Za-z]", "_", instrument))
        for index, instrument in enumerate(config.instruments)
    ]
    # float32 whatever the precision of the layers.
    return ops.cast(ops.stack([net(inputs) for net in nets], axis=1), "float32")


def he_uniform(seed: int) -> Any:
    """He's uniform initializer as Spleeter uses it, varied by the config's ``random_seed``.

    References:
        K. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    return keras.initializers.HeUniform(seed=(_INITIALIZER_SEED + seed) % 2**32)
