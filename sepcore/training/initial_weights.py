"""Weights that a training takes over from another model instead of fresh ones."""

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np

from sepcore.config import ModelConfig
from sepcore.errors import ConfigError
from sepcore.networks.instrument import InstrumentNetwork
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.provider.resolve import LocalModel, locate_model

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


def take_over_weights(network: Any, config: ModelConfig, init_from: str) -> list[str]:
    """Give a network another model's weights of the instruments that both have, batch norm's statistics too.

    The rest stays as it is. A registered network without a part for each instrument takes all weights or none.

    Args:
        network: As `registry.build_network` makes it of ``config``.
        config: Its config; the other model's ``T`` may differ where each instrument has its own network.
        init_from: Another model as ``-p`` names it; fetched if need be.

    Returns:
        Lines for the log: which instruments' weights were taken over, which start fresh, and whether activations are
        others than those that they were trained with.

    Raises:
        ConfigError: if there is no such model, its network or audio settings are others, or it has none of the
            instruments. The network is unchanged then.
        ProviderError: if it cannot be fetched.
        CheckpointError: if its weights are not whole.
    """
    model = locate_model(init_from)
    for key, theirs, ours in _differences(model.config, config):
        raise ConfigError(
            f"init_from is {init_from}, whose {key} is {_shown(theirs)}; this config's is {_shown(ours)}, and weights "
            f"mean the same only where both are equal. Set {key} to {_shown(theirs)}, or leave init_from out."
        )
    own = _by_instrument(network, config)
    if not own:
        return _all_of(network, config, model, init_from)
    taken = [name for name in own if name in model.config.instruments]
    if not taken:
        raise ConfigError(
            f"init_from is {init_from}, a model of {', '.join(model.config.instruments)}; none of them is in this "
            f"config's instrument_list ({', '.join(own)}). Name one of them there, or leave init_from out."
        )
    _copy(own, taken, model)
    fresh = [name for name in own if name not in taken]
    lines = [f"{', '.join(taken)}: weights of {init_from}"]
    if fresh:
        lines.append(f"{', '.join(fresh)}: fresh weights")
    return lines + [
        f"{key} is {theirs} in {init_from} and {ours} here: its weights are a start, not yet a model"
        for key, theirs, ours in _differing_params(model.config, config)
    ]


def _differences(theirs: ModelConfig, ours: ModelConfig) -> Iterator[tuple[str, Any, Any]]:
    """Key, the other model's value and this one's where weights would not fit or mean something else."""
    types = [_SAME_LAYERS.get(config.model.type, config.model.type) for config in (theirs, ours)]
    if types[0] != types[1]:
        yield "model.type", theirs.model.type, ours.model.type
        return
    for key, other, own in _differing_params(theirs, ours):
        if key not in _ACTIVATIONS:
            yield f"model.params.{key}", other, own
    for field, key in _MEANING:
        pair = getattr(theirs, field), getattr(ours, field)
        if pair[0] != pair[1]:
            yield key, *pair


def _differing_params(theirs: ModelConfig, ours: ModelConfig) -> Iterator[tuple[str, Any, Any]]:
    for key in type(theirs.model.params).model_fields:
        pair = getattr(theirs.model.params, key), getattr(ours.model.params, key)
        if pair[0] != pair[1]:
            yield key, *pair


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _by_instrument(network: Any, config: ModelConfig) -> dict[str, Any]:
    nets = [layer for layer in network.layers if isinstance(layer, InstrumentNetwork)]
    return dict(zip(config.instruments, nets, strict=True)) if nets else {}


def _copy(own: dict[str, Any], taken: list[str], model: LocalModel) -> None:
    other = build_network(model.config)
    read_checkpoint(other, model.folder)
    others = _by_instrument(other, model.config)
    for name in taken:
        pairs = zip(own[name].spleeter_layers(), others[name].spleeter_layers(), strict=True)
        for (_, layer), (_, stored) in pairs:
            for variable, value in zip(layer.weights, stored.weights, strict=True):
                variable.assign(np.asarray(value))
    del other, others
    gc.collect()  # a Keras model holds itself in a circle: its memory would stay taken far into the training


def _all_of(network: Any, config: ModelConfig, model: LocalModel, init_from: str) -> list[str]:
    for key, theirs, ours in (
        ("instrument_list", model.config.instruments, config.instruments),
        ("T", model.config.segment_frames, config.segment_frames),
    ):
        if theirs != ours:
            raise ConfigError(
                f"init_from is {init_from}, whose {key} is {_shown(theirs)}; this config's is {_shown(ours)}, and "
                f"{config.model.type} is taken over as a whole. Make them equal, or leave init_from out."
            )
    read_checkpoint(network, model.folder)
    return [f"{', '.join(config.instruments)}: weights of {init_from}"]
