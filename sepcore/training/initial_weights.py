"""Start a training from another model's weights; whether they fit is found out without building a network."""

import gc
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.engines.converted import weights_sha256
from sepcore.errors import ConfigError, TrainingError
from sepcore.networks.registry import build_network
from sepcore.provider.resolve import LocalModel, locate_model
from sepcore.system.printable import first_few

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
    ("stft_window", "stft_window"),
    ("stft_normalized", "stft_normalized"),
)
_SHOWN = 3


def transfer_weights(network: Any, config: ModelConfig, init_from: str, *, expected: str | None = None) -> list[str]:
    """Copy another model's weights into a network: of the instruments that both have, batch norm's statistics too.

    The rest stays as it is. A complex network of other instruments or another ``T`` takes the tensors whose name and
    shape it has itself; a magnitude network without a part for each instrument takes all weights or none.

    Args:
        network: As `registry.build_network` makes it of ``config``.
        config: Its config; the other model's ``T`` may differ but for the latter.
        init_from: Another model as ``-p`` names it; fetched if need be.
        expected: `initial_fingerprint` that its weights must have; None: any.

    Returns:
        Lines for the log: which instruments' weights, or tensors, were copied, which start fresh, and which activations
        differ from those they were trained with.

    Raises:
        ConfigError: if there is no such model, its network or audio settings are others, or it has none of the
            instruments. The network is unchanged then.
        ProviderError: if it cannot be fetched.
        CheckpointError: if its weights are not whole.
        TrainingError: if they are not those that are expected; the network is of no use then.
    """
    model = locate_model(init_from)
    check_initial_model(model.config, config, init_from)
    own = _by_instrument(network, config)
    lines = _by_part(own, config, model, init_from) if own else _all_of(network, config, model, init_from)
    # After the reading: files that are replaced meanwhile are noticed, too.
    if expected is not None and initial_fingerprint(model) != expected:
        raise TrainingError(
            f"the weights that init_from ({init_from}) names have changed since this training was started",
            path=model.folder,
            hint="Put the old ones back, or start again (a new run, from the new ones).",
        )
    return lines


def _by_part(own: dict[str, Any], config: ModelConfig, model: LocalModel, init_from: str) -> list[str]:
    taken = [name for name in own if name in model.config.instruments]
    _copy(own, taken, model)
    fresh = [name for name in own if name not in taken]
    lines = [f"{', '.join(taken)}: weights of {init_from}"]
    if fresh:
        lines.append(f"{', '.join(fresh)}: fresh weights")
    return lines + [
        f"{key} is {theirs} in {init_from} and {ours} here: its weights are a start, not yet a model"
        for key, theirs, ours in differing_params(model.config, config)
    ]


def _by_instrument(network: Any, config: ModelConfig) -> dict[str, Any]:
    from sepcore.networks.instrument import InstrumentNetwork  # Keras: not for who only checks what a config names

    nets = [layer for layer in network.layers if isinstance(layer, InstrumentNetwork)]
    return dict(zip(config.instruments, nets, strict=True)) if nets else {}


def _copy(own: dict[str, Any], taken: list[str], model: LocalModel) -> None:
    from sepcore.networks.spleeter_checkpoint import read_checkpoint  # Keras

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
    from sepcore.networks.spleeter_checkpoint import read_checkpoint, read_fitting_tensors  # Keras

    others = model.config
    is_same = (others.instruments, others.segment_frames) == (config.instruments, config.segment_frames)
    if config.model.domain == "complex" and not is_same:
        # Its stems share most of their layers, which are worth more than a fresh start.
        taken, fresh = read_fitting_tensors(network, model.folder)
        lines = [f"{len(taken)} of {len(taken) + len(fresh)} tensors: weights of {init_from}"]
        if fresh:
            return [*lines, f"{first_few(fresh, _SHOWN)}: fresh weights"]
        if others.instruments != config.instruments:
            lines.append(f"{', '.join(config.instruments)} start as its {', '.join(others.instruments)}")
        return lines
    for key, theirs, ours in (
        ("instrument_list", model.config.instruments, config.instruments),
        ("T", model.config.segment_frames, config.segment_frames),
    ):
        if theirs != ours:
            raise ConfigError(
                f"init_from is {init_from}, whose {key} is {shown(theirs)}, but this config's is {shown(ours)}, and "
                f"{config.model.type} is taken over as a whole",
                hint="Make them equal, or leave init_from out.",
            )
    read_checkpoint(network, model.folder)
    return [f"{', '.join(config.instruments)}: weights of {init_from}"]


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
