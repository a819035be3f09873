"""A model as TensorFlow's SavedModel, which runs without this project."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.export.waveform import separate_waveform


def save_saved_model(config: ModelConfig, network: Any, folder: Path) -> None:
    """Write the graph from waveform to stems, to be loaded by ``tf.saved_model.load(folder)`` and called.

    Args:
        config: The model's config.
        network: Its network, with weights.
        folder: Where to write. The loaded object is a function of ``waveform``, float32 ``(samples, channels)`` of any
            length, that gives every instrument's stem, of the same shape, by name; so is its ``serving_default``.
    """
    signature = [tf.TensorSpec([None, config.num_channels], tf.float32, name="waveform")]

    @tf.function(input_signature=signature, autograph=False)
    def separate(waveform: Any) -> dict[str, Any]:
        return separate_waveform(config, network, waveform, matrix_fft=False)

    module = tf.Module()
    # The variables alone: of the network itself TensorFlow would miss the state of random layers.
    module.state, module.__call__ = [variable.value for variable in network.variables], separate
    tf.saved_model.save(module, str(folder), signatures={"serving_default": separate})


def run_saved_model(folder: Path, waveform: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Load a SavedModel and separate a waveform: stems by name, float32 ``(samples, channels)`` as the waveform."""
    loaded = tf.saved_model.load(str(folder))
    return {name: np.asarray(stem) for name, stem in loaded(tf.constant(waveform)).items()}
