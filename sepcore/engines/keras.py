"""The engines that run a Keras network: one in memory, such as in training, and the reference in TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Precision
from sepcore.config.model_config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.engines.waveform_graph import separate_block
from sepcore.networks.keras_settings import dtype_policy, full_float32, use_full_float32
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.networks.stored_tensors import check_stored


class KerasEngine(Engine):
    """A network in memory, on any backend of Keras; each call uses its present weights.

    Keras keeps the graph with the network, so a new engine of the same network does not trace it again;
    ``network.compile`` says whether XLA compiles it (by default Keras decides).
    """

    def __init__(self, config: ModelConfig, network: Any) -> None:
        super().__init__(config)
        self._network = network

    def estimate(self, magnitudes: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Engine.estimate`."""
        with full_float32():  # training may use less
            estimates = self._network.predict_on_batch(magnitudes)
        # If the network is mirrored on several devices, each estimates the whole batch, and all results come in a row.
        return np.asarray(estimates[: len(magnitudes)], np.float32)


class TensorFlowEngine(Engine):
    """Everything from samples to stems as one TensorFlow graph, on a GPU where there is one.

    Traced once for any number of segments. `load` reads the network's weights from a checkpoint.
    """

    def __init__(self, config: ModelConfig, network: Any) -> None:
        import tensorflow as tf

        super().__init__(config)
        use_full_float32()  # for the process: several threads may separate at once
        samples = tf.TensorSpec([None, config.num_channels], tf.float32)
        parts = 2 if config.model.domain == "complex" else 1
        segments = [None, config.segment_frames, config.num_bins, parts * config.num_channels]

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
        check_stored(config, folder)  # a network that the weights do not fit may be of any size
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
        """See `Engine.separate_block`; it runs in one graph unless frames are weighted."""
        if frame_weights is not None:
            return super().separate_block(samples, frame_weights)
        return np.asarray(self._block(samples))
