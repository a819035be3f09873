"""Small models for tests: every kind of network, on spectrograms small enough for milliseconds."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from sepcore.config.load import parse_config
from sepcore.config.model_config import ModelConfig
from sepcore.config.network import StrictModel
from sepcore.engines.converted import network_places
from sepcore.export.convert import convert
from sepcore.networks.registry import build_network, register_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.provider.resolve import locate_model

SMALL_UNET = {"type": "unet.unet", "params": {"conv_n_filters": [2, 3, 4, 5, 6, 7]}}
SMALL_SOFTMAX = {
    "type": "unet.softmax_unet",
    "params": {"conv_n_filters": [2, 3, 4, 5, 6, 7], "conv_activation": "ELU", "deconv_activation": "ELU"},
}
SMALL_BLSTM = {"type": "blstm.blstm", "params": {"lstm_units": 5}}
# For tests of what happens around a network: compiled in a tenth of the time.
TINY = {"type": "tests.tiny"}


class TinyParams(StrictModel):
    """A network of a mask for every bin and channel, with dropout."""

    downsampling: int = 1


def _build_tiny(inputs: Any, config: ModelConfig) -> Any:
    import keras

    x = keras.layers.Dropout(config.dropout)(inputs) if config.dropout else inputs
    masks = [keras.layers.Dense(config.num_channels, activation="sigmoid")(x) for _ in config.instruments]
    return keras.ops.stack(masks, axis=1) * inputs[:, None]


register_network(TINY["type"], _build_tiny, TinyParams)

# The same of complex spectra.
TINY_COMPLEX = {"type": "tests.tiny_complex"}


def _build_tiny_complex(inputs: Any, config: ModelConfig) -> Any:
    import keras

    x = keras.layers.Dropout(config.dropout)(inputs) if config.dropout else inputs
    stems = [keras.layers.Dense(2 * config.num_channels)(x) for _ in config.instruments]
    return keras.ops.cast(keras.ops.stack(stems, axis=1), "float32")


register_network(TINY_COMPLEX["type"], _build_tiny_complex, TinyParams, domain="complex")


def small_config(**keys: Any) -> ModelConfig:
    """A two-stem model at 8 kHz with 64 frames of 64 bins; ``keys`` are JSON keys to replace."""
    content: dict[str, Any] = {
        "instrument_list": ["vocals", "accompaniment"],
        "sample_rate": 8000,
        "frame_length": 512,
        "frame_step": 128,
        "T": 64,
        "F": 64,
        "chunk_duration": 2,
        "batch_size": 2,
        "model": SMALL_UNET,
    }
    return parse_config(json.dumps(content | keys), "small.json")


def randomize(network: Any, seed: int = 0) -> None:
    """Give every weight, batch norm's statistics too, a value of its own."""
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        spread = 0.1 * rng.standard_normal(variable.shape)
        variable.assign(np.abs(1 + spread) if "variance" in variable.path or "gamma" in variable.path else spread)


def convert_here(model: str | Path) -> Path:
    """Convert a model's network for the lean engine in this process: seconds less than in a child."""
    located = locate_model(model)
    file = network_places(located.config, located.folder)[0]
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    convert(located.folder, file, located.config.to_json())
    return file


def write_model(folder: Path, seed: int = 0, **keys: Any) -> Path:
    """Put a small model into a folder: config.json and model/, with weights by chance."""
    config = small_config(**keys)
    network = build_network(config)
    randomize(network, seed)
    write_checkpoint(network, folder / "model", step=1)
    (folder / "config.json").write_text(config.to_json())
    return folder
