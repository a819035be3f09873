"""Whether another model's weights mean the same in the network of a config; told without building either."""

import hashlib
from collections.abc import Iterator
from typing import Any

from sepcore.config.model_config import ModelConfig
from sepcore.engines.converted import weights_sha256
from sepcore.errors import ConfigError
from sepcore.provider.resolve import LocalModel

# Types whose layers are the same: only how the masks are made of them differs.
_SAME_LAYERS = {"unet.softmax_unet": "unet.unet"}
# Weights fit layers of another activation, though they give something else there until they are trained on.
_ACTIVATIONS = ("conv_activation", "deconv_activation")
# What a weight means depends on these keys of the JSON (field of the config, key).
_MEANING = (
    ("sample_rate", "sample_rate"),
    ("frame_length", "frame_length"),
    ("hop_length", "frame_step"),
    ("num_bins", "F"),
    ("num_channels", "n_channels"),
)


def check_initial_model(theirs: ModelConfig, ours: ModelConfig, init_from: str) -> None:
    """Refuse a model to start from whose weights do not fit, or are of none of the instruments.

    Args:
        theirs: Its config.
        ours: What is to be trained.
        init_from: The model's name in messages.

    Raises:
        ConfigError: one line with the key that differs, both values, and what to do.
    """
    for key, other, own in _differences(theirs, ours):
        raise ConfigError(
            f"init_from is {init_from}, whose {key} is {shown(other)}, but this config's is {shown(own)}, and weights "
            "mean the same only where both are equal",
            hint=f"Set {key} to {shown(other)}, or leave init_from out.",
        )
    if not set(theirs.instruments) & set(ours.instruments):
        raise ConfigError(
            f"init_from is {init_from}, a model of {', '.join(theirs.instruments)}, but none of them is in this "
            f"config's instrument_list ({', '.join(ours.instruments)})",
            hint="Name one of them there, or leave init_from out.",
        )


def _differences(theirs: ModelConfig, ours: ModelConfig) -> Iterator[tuple[str, Any, Any]]:
    """Key, the other model's value and this one's where weights would not fit or mean something else."""
    types = [_SAME_LAYERS.get(config.model.type, config.model.type) for config in (theirs, ours)]
    if types[0] != types[1]:
        yield "model.type", theirs.model.type, ours.model.type
        return
    for key, other, own in differing_params(theirs, ours):
        if key not in _ACTIVATIONS:
            yield f"model.params.{key}", other, own
    for field, key in _MEANING:
        pair = getattr(theirs, field), getattr(ours, field)
        if pair[0] != pair[1]:
            yield key, *pair


def initial_fingerprint(model: LocalModel) -> str:
    """Sixteen hex digits of the weights that a training would start from, and whose they are; not of where they lie."""
    made_from = f"{weights_sha256(model.folder)} {' '.join(model.config.instruments)}"
    return hashlib.sha256(made_from.encode()).hexdigest()[:16]


def differing_params(theirs: ModelConfig, ours: ModelConfig) -> Iterator[tuple[str, Any, Any]]:
    """Key, the other model's value and this one's of each parameter of the network that differs."""
    for key in type(theirs.model.params).model_fields:
        pair = getattr(theirs.model.params, key), getattr(ours.model.params, key)
        if pair[0] != pair[1]:
            yield key, *pair


def shown(value: Any) -> str:
    """A key's value as its JSON has it."""
    return str(list(value)) if isinstance(value, tuple) else str(value)
