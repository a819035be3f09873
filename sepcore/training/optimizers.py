"""A network with its optimizer: TensorFlow 1's constants where Keras 3 has others, learning rates, averaged weights."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.networks.keras_settings import dtype_policy
from sepcore.networks.registry import build_network
from sepcore.training.devices import Parallel
from sepcore.training.losses import build_loss, build_stem_metrics

_TF1_EPSILON = 1e-8  # Keras: 1e-7
_TF1_ADADELTA_RATE = 0.001  # Spleeter does not hand its learning_rate to Adadelta


def build_optimizer(config: ModelConfig) -> Any:
    """A fresh `keras.optimizers.Optimizer` as ``optimizer``, ``learning_rate``, ``clip_norm`` and ``ema`` mean it."""
    keys: dict[str, Any] = {"global_clipnorm": config.clip_norm}
    if config.ema:
        keys |= {"use_ema": True, "ema_momentum": config.ema}
    if config.optimizer == "Adadelta":
        return keras.optimizers.Adadelta(_TF1_ADADELTA_RATE, rho=0.95, epsilon=_TF1_EPSILON, **keys)
    if config.optimizer == "SGD":
        return keras.optimizers.SGD(config.learning_rate, **keys)
    return keras.optimizers.Adam(config.learning_rate, epsilon=_TF1_EPSILON, **keys)


def learning_rate(config: ModelConfig, step: int, plateau_factor: float = 1.0) -> float:
    """Learning rate of one step.

    Args:
        config: Its peak, ``warmup_steps`` and ``schedule``.
        step: Steps done before, >= 0.
        plateau_factor: What plateaus have multiplied it with.
    """
    rate = (_TF1_ADADELTA_RATE if config.optimizer == "Adadelta" else config.learning_rate) * plateau_factor
    if step < config.warmup_steps:
        return rate * (step + 1) / config.warmup_steps
    if config.schedule == "cosine":
        share = (step - config.warmup_steps) / (config.train_max_steps - config.warmup_steps)
        return rate * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return rate


@contextmanager
def averaged_weights(network: Any, config: ModelConfig) -> Iterator[None]:
    """Let a network have the running mean of its weights, if ``ema`` keeps one; afterwards it has its own again."""
    if not config.ema:
        yield
        return
    variables = network.trainable_variables
    own = [np.asarray(variable).copy() for variable in variables]
    network.optimizer.finalize_variable_values(variables)
    for variable in variables:
        # JAX shares the mean's memory with the weight, and hands it over to the next compiled step.
        variable.assign(np.asarray(variable).copy())
    try:
        yield
    finally:
        for variable, value in zip(variables, own, strict=True):
            variable.assign(value)


def build_trainable_network(config: ModelConfig, parallel: Parallel | None = None) -> Any:
    """The network of a config with fresh weights from its seed, compiled with its loss and optimizer.

    Weights of ``init_from`` are not taken over yet. ``parallel`` are the devices that share a batch, if several do.
    """
    keras.utils.set_random_seed(config.random_seed)
    with dtype_policy(config.precision), parallel.scope() if parallel else nullcontext():
        network = build_network(config)
        network.compile(
            optimizer=build_optimizer(config),
            loss=build_loss(config),
            metrics=build_stem_metrics(config),
            # On a CPU, XLA runs these convolutions at a third of oneDNN's speed. JAX without it is slower still.
            jit_compile=config.jit or keras.config.backend() == "jax",
        )
        network.optimizer.build(network.trainable_variables)
        if parallel:
            parallel.prepare(network, config)
    return network
