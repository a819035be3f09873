"""The engines that run Keras' own networks: the reference in TensorFlow, and a network in memory."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Precision
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


class TensorFlowEngine(Engine):
    """Keras' network under `tf.function`, traced once for any number of segments."""

    def __init__(self, config: ModelConfig, network: Any) -> None:
        """Compile a network that has its weights; see `load` for one from a checkpoint."""
        import tensorflow as tf

        from sepcore.engines.waveform_graph import separate_block
        from sepcore.networks.gpu import use_full_float32

        super().__init__(config)
        use_full_float32()  # for the process: several threads may separate at once
        samples = tf.TensorSpec([None, config.num_channels], tf.float32)
        segments = [None, config.segment_frames, config.num_bins, config.num_channels]

        @tf.function(input_signature=[samples], autograph=False)
        def block(samples: Any) -> Any:
            return separate_block(network, config, samples)

        @tf.function(input_signature=[tf.TensorSpec(segments, tf.float32)], autograph=False)
        def estimates(magnitudes: Any) -> Any:
            return network(magnitudes, training=False)

        self._block, self._estimates = block, estimates

    @classmethod
    def load(cls, config: ModelConfig, folder: Path, *, precision: Precision = "float32") -> "TensorFlowEngine":
        """Build the network of ``config`` with the weights of the checkpoint in ``folder`` (CheckpointError)."""
        from sepcore.networks.precision import dtype_policy
        from sepcore.networks.registry import build_network
        from sepcore.networks.spleeter_checkpoint import read_checkpoint

        with dtype_policy({"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]):
            network = build_network(config)
        read_checkpoint(network, folder)
        return cls(config, network)

    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.estimate`."""
        return np.asarray(self._estimates(magnitudes))

    def separate_block(
        self, samples: NDArray[np.float32], frame_weights: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """See `Engine.separate_block`; here all of it runs in one graph, unless frames are weighed."""
        if frame_weights is not None:
            return super().separate_block(samples, frame_weights)
        return np.asarray(self._block(samples))
