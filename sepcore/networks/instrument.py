"""What the networks of single instruments share: a place in Spleeter's checkpoints, and initial weights."""

from typing import Any

import keras

# Spleeter's; all its layers of one shape start from the same values.
_INITIALIZER_SEED = 50


class InstrumentNetwork(keras.layers.Layer):
    """One instrument's part of a network, whose layers have names in Spleeter's checkpoints."""

    def spleeter_layers(self) -> list[tuple[str, Any]]:
        """All layers in the order in which Spleeter creates them, each with its kind's name in a checkpoint."""
        raise NotImplementedError


def he_uniform(seed: int) -> Any:
    """He's uniform initialiser as Spleeter uses it, varied by the config's ``random_seed``.

    References:
        K. He et al., "Delving deep into rectifiers", ICCV 2015.
    """
    return keras.initializers.HeUniform(seed=(_INITIALIZER_SEED + seed) % 2**32)
