"""Weights that a training takes over from another model instead of fresh ones."""

import gc
from typing import Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.errors import ConfigError, TrainingError
from sepcore.networks.instrument import InstrumentNetwork
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint
from sepcore.provider.resolve import LocalModel, locate_model
from sepcore.training.initial_model import check_initial_model, differing_params, initial_fingerprint, shown


def transfer_weights(network: Any, config: ModelConfig, init_from: str, *, expected: str | None = None) -> list[str]:
    """Give a network another model's weights of the instruments that both have, batch norm's statistics too.

    The rest stays as it is. A registered network without a part for each instrument takes all weights or none.

    Args:
        network: As `registry.build_network` makes it of ``config``.
        config: Its config; the other model's ``T`` may differ where each instrument has its own network.
        init_from: Another model as ``-p`` names it; fetched if need be.
        expected: `initial_fingerprint` that its weights must have; None: any.

    Returns:
        Lines for the log: which instruments' weights were taken over, which start fresh, and whether activations are
        others than those that they were trained with.

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
                f"init_from is {init_from}, whose {key} is {shown(theirs)}, but this config's is {shown(ours)}, and "
                f"{config.model.type} is taken over as a whole",
                hint="Make them equal, or leave init_from out.",
            )
    read_checkpoint(network, model.folder)
    return [f"{', '.join(config.instruments)}: weights of {init_from}"]
