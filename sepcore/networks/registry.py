"""Which networks there are: a type's name, its parameters and the function that builds it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, get_args

from pydantic import BaseModel

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import NETWORK_DOMAINS, NETWORK_PARAMS, Domain

# Type -> "module:function", imported when a network is built: the registry itself loads no Keras.
_BUILDERS: dict[str, str | Callable[..., Any]] = {
    "unet.unet": "sepcore.networks.unet:build_unet",
    "unet.softmax_unet": "sepcore.networks.unet:build_softmax_unet",
    "blstm.blstm": "sepcore.networks.blstm:build_blstm",
    "scnet.scnet": "sepcore.networks.scnet:build_scnet",
}


def register_network(
    name: str, builder: Callable[..., Any], params: type[BaseModel], domain: Domain = "magnitude"
) -> None:
    """Add a network of your own, so that ``model.type`` of a config may name it.

    Commands find a network of another package through an entry point of the group ``stemworks.networks``, a function
    without arguments that calls this one.

    Args:
        name: The ``model.type``, e.g. ``"mine.tcn"``.
        builder: Called as ``builder(inputs, config)`` with a Keras tensor of the mixture; returns the estimates of the
            stems in the order of ``config.instruments``. What both hold is said by ``domain``.
        params: A pydantic model of ``model.params``; `sepcore.config.network.StrictModel` is a good base.
        domain: ``"magnitude"``: magnitudes ``(batch, T, F, channels)`` in, and estimated magnitudes, >= 0, ``(batch,
            stems, T, F, channels)`` out, of which ratio masks are made. ``"complex"``: spectra ``(batch, T, F, 2 *
            channels)`` in, the real and the imaginary part of each channel in turn, and the stems' own spectra
            ``(batch, stems, T, F, 2 * channels)`` out, which nothing masks: a network that masks multiplies inside.

    Raises:
        ValueError: if another network already has that name, or there is no such domain.
    """
    if domain not in get_args(Domain):
        raise ValueError(f"domain is {domain!r}; expected one of {', '.join(get_args(Domain))}.")
    if _BUILDERS.get(name, builder) is not builder:
        raise ValueError(f"{name!r} is registered already; choose another name.")
    NETWORK_PARAMS[name] = params
    NETWORK_DOMAINS[name] = domain
    _BUILDERS[name] = builder


def build_network(config: ModelConfig) -> Any:
    """Build a config's network with fresh weights.

    Returns:
        A `keras.Model`, with stems in the order of ``config.instruments``. Of the domain ``magnitude``: mixture
        magnitudes, linear amplitude, float32 ``(batch, T, F, channels)`` in; estimated magnitudes ``(batch, stems, T,
        F, channels)`` out. Of the domain ``complex``: the mixture's spectra, scaled as the config's STFT is, float32
        ``(batch, T, F, 2 * channels)``, the real and the imaginary part of each channel in turn, in; the stems' spectra
        ``(batch, stems, T, F, 2 * channels)`` out.
    """
    import keras

    from sepcore.networks.keras_settings import let_memory_grow

    let_memory_grow()  # whoever uses a GPU here builds a network first
    builder = _BUILDERS[config.model.type]
    if isinstance(builder, str):
        module, _, function = builder.partition(":")
        builder = getattr(import_module(module), function)
    parts = 2 if config.model.domain == "complex" else 1
    inputs = keras.Input((config.segment_frames, config.num_bins, parts * config.num_channels), name=config.mix_name)
    return keras.Model(inputs, builder(inputs, config), name="network")
