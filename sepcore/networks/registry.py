"""Which networks there are: a type's name, its parameters and the function that builds it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import NETWORK_DOMAINS, NETWORK_PARAMS, Domain

# Type -> "module:function", imported when a network is built: the registry itself loads no Keras.
_BUILDERS: dict[str, str | Callable[..., Any]] = {
    "unet.unet": "sepcore.networks.unet:build_unet",
    "unet.softmax_unet": "sepcore.networks.unet:build_softmax_unet",
    "blstm.blstm": "sepcore.networks.blstm:build_blstm",
}


def register_network(
    name: str, builder: Callable[..., Any], params: type[BaseModel], domain: Domain = "magnitude"
) -> None:
    """Add a network of your own, so that ``model.type`` of a config may name it.

    Commands find a network of another package through an entry point of the group ``stemworks.networks``, a function
    without arguments that calls this one.

    Args:
        name: The ``model.type``, e.g. ``"mine.tcn"``.
        builder: Called as ``builder(inputs, config)`` with a Keras tensor of mixture magnitudes ``(batch, T, F,
            channels)``; returns estimates, >= 0, ``(batch, stems, T, F, channels)`` in the order of
            ``config.instruments``. With ``domain="complex"`` both are spectra, ``2 * channels`` in the last axis: the
            real and the imaginary part of each channel in turn.
        params: A pydantic model of ``model.params``; `sepcore.config.network.StrictModel` is a good base.
        domain: What it takes and gives: ``"magnitude"`` or ``"complex"``.

    Raises:
        ValueError: if another network already has that name.
    """
    if _BUILDERS.get(name, builder) is not builder:
        raise ValueError(f"{name!r} is registered already; choose another name.")
    NETWORK_PARAMS[name] = params
    NETWORK_DOMAINS[name] = domain
    _BUILDERS[name] = builder


def build_network(config: ModelConfig) -> Any:
    """Build a config's network with fresh weights.

    Returns:
        A `keras.Model`: mixture magnitudes, linear amplitude, float32 ``(batch, T, F, channels)`` in; estimated
        magnitudes ``(batch, stems, T, F, channels)`` out, in the order of ``config.instruments``. Of a complex network
        both are spectra, with ``2 * channels`` in the last axis, see `register_network`.
    """
    import keras

    from sepcore.networks.keras_settings import let_memory_grow

    let_memory_grow()  # whoever uses a GPU here builds a network first
    builder = _BUILDERS[config.model.type]
    if isinstance(builder, str):
        module, _, function = builder.partition(":")
        builder = getattr(import_module(module), function)
    width = config.num_channels * (2 if config.model.domain == "complex" else 1)
    inputs = keras.Input((config.segment_frames, config.num_bins, width), name=config.mix_name)
    return keras.Model(inputs, builder(inputs, config), name="network")
