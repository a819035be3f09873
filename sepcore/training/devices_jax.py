"""Devices under JAX: several that share a batch, and no GPU for TensorFlow beside it."""

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import jax
import keras
import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError
from sepcore.networks.keras_settings import use_full_float32

_logger = logging.getLogger(__name__)


_DETERMINISTIC = "--xla_gpu_deterministic_ops"


def num_gpus(config: ModelConfig) -> int:
    """GPUs that JAX sees. Its CPU is split first, if the config asks for that: asking for GPUs starts JAX."""
    wanted, settings = config.num_devices or 1, cast(Any, jax.config)
    if wanted > 1 and settings.jax_num_cpu_devices != wanted:
        try:
            settings.update("jax_num_cpu_devices", wanted)
        except RuntimeError as error:
            if _num_gpus() == 0:
                raise TrainingError(
                    f"num_devices is {wanted}, but JAX has already computed something in this process, and its CPU "
                    "cannot be split after that",
                    hint="Start the training in a process of its own.",
                ) from error
    return _num_gpus()


def _num_gpus() -> int:
    return jax.device_count() if jax.default_backend() == "gpu" else 0


def set_up(config: ModelConfig, count: int) -> None:
    """See `devices.set_up_devices`; ``count`` devices share a batch, for which there is nothing left to do."""
    if config.gpu_memory_mb:
        raise TrainingError(
            f"gpu_memory_mb is {config.gpu_memory_mb}, but JAX takes its share of a GPU's memory from "
            "XLA_PYTHON_CLIENT_MEM_FRACTION",
            hint="Set that, and leave gpu_memory_mb out.",
        )
    _hide_gpus_from_tensorflow()
    use_full_float32(config.deterministic)
    if config.deterministic and _num_gpus() and _DETERMINISTIC not in os.environ.get("XLA_FLAGS", ""):
        raise TrainingError(
            "deterministic is true, but on a GPU, JAX must be told so before it starts",
            hint=f"Set XLA_FLAGS={_DETERMINISTIC}=true.",
        )


def _hide_gpus_from_tensorflow() -> None:
    """TensorFlow only reads and writes checkpoints here; it would take the GPU's memory for it."""
    import tensorflow as tf

    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        _logger.info("TensorFlow has taken its devices before: %s", error)


def parallel(config: ModelConfig, count: int) -> "DataParallelDevices":
    """See `devices.parallel_devices`; ``count`` is above 1."""
    return DataParallelDevices(keras.distribution.list_devices()[:count])


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """See `devices.compiled`."""
    graph: Callable[[Any], Any] = jax.jit(function)
    return graph


class DataParallelDevices:
    """Devices with a copy of the weights each, which XLA lets compute one step together."""

    def __init__(self, names: list[str]) -> None:
        self._distribution = keras.distribution.DataParallel(devices=names)

    def scope(self) -> AbstractContextManager[Any]:
        """See `devices.Parallel`."""
        scope: AbstractContextManager[Any] = self._distribution.scope()
        return scope

    def prepare(self, network: Any, config: ModelConfig) -> None:
        """See `devices.Parallel`; XLA computes the whole batch's step, so there is nothing to correct."""

    def split(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """See `devices.Parallel`."""
        mixture, targets = (self._shared_out(np.asarray(part)) for part in batch)
        return mixture, targets

    def _shared_out(self, values: Any) -> Any:
        return jax.device_put(values, self._distribution.get_data_layout(values.shape).backend_layout)
