"""The engine of a network in memory, such as one in training, on whatever Keras runs on here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.networks.gpu import full_float32


class KerasEngine(Engine):
    """A network as it stands: each call takes the weights that it has then.

    The graph is the one that Keras keeps with the network, so a new engine of the same network traces nothing again;
    ``network.compile`` says whether XLA compiles it (uncompiled, Keras decides).
    """

    def __init__(self, config: ModelConfig, network: Any) -> None:
        super().__init__(config)
        self._network = network

    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.estimate`."""
        with full_float32():  # a training may go on in less
            estimates = self._network.predict_on_batch(magnitudes)
        # Of a network that is mirrored on several devices, each estimates the whole batch: one after the other.
        return np.asarray(estimates[: len(magnitudes)], np.float32)
