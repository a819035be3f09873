"""The devices that a training runs on: how many, with how much memory, and in which arithmetic."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError

_logger = logging.getLogger(__name__)


class Parallel(Protocol):
    """Several devices that share the examples of each training step."""

    def scope(self) -> AbstractContextManager[Any]:
        """In it the network is built and compiled, so that every device gets its weights."""

    def prepare(self, network: Any, config: ModelConfig) -> None:
        """Make a compiled network, its optimizer built, train on split batches as on whole ones; within `scope`."""

    def split(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """The mixture and targets of one step, shared out evenly, as ``network.train_on_batch`` takes them.

        Args:
            batch: Arrays or tensors, float32 ``(batch_size, …)``.
        """


def set_up_devices(config: ModelConfig) -> None:
    """Set up what `num_devices`, `gpu_memory_mb` and `deterministic` ask for, for the whole process.

    Call it before anything is computed: later, most of these can no longer be set. It may be called again, since what
    is set already is left alone.

    Raises:
        TrainingError: if that is impossible: too few GPUs, a Keras backend that cannot do it, or called too late.
    """
    backend = _backend()
    backend.set_up(config, device_count(config, backend.num_gpus(config)))


def parallel_devices(config: ModelConfig) -> Parallel | None:
    """The devices that share a batch; None if one device does all, as on a CPU without ``num_devices``.

    Call `set_up_devices` before.

    Raises:
        TrainingError: if they cannot be used together with another key of the config.
    """
    backend = _backend()
    count = device_count(config, backend.num_gpus(config))
    parallel: Parallel | None = backend.parallel(config, count) if count > 1 else None
    return parallel


def device_count(config: ModelConfig, num_gpus: int) -> int:
    """Devices that share a batch: `num_devices`, or all GPUs that can have equal parts of it, or the CPU.

    Without a GPU, more than one device means virtual ones of the CPU: no faster, but the same computation.

    Args:
        config: What to train.
        num_gpus: GPUs that Keras' backend sees.

    Raises:
        TrainingError: if there are GPUs, but fewer than asked for.
    """
    if config.num_devices:
        if 0 < num_gpus < config.num_devices:
            raise TrainingError(
                f"num_devices is {config.num_devices}, but only {num_gpus} GPU{'s are' if num_gpus > 1 else ' is'} "
                "visible",
                hint=f"Set num_devices to {num_gpus}, or check nvidia-smi and CUDA_VISIBLE_DEVICES.",
            )
        return config.num_devices
    count = max(n for n in range(1, max(num_gpus, 1) + 1) if config.batch_size % n == 0)
    if count < num_gpus:
        _logger.warning(
            "%d of %d GPUs are used: batch_size %d is no multiple of more; try %d",
            count,
            num_gpus,
            config.batch_size,
            num_gpus * -(-config.batch_size // num_gpus),
        )
    return count


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of one array in `keras.ops` as a graph on the device; its array may be NumPy's."""
    graph: Callable[[Any], Any] = _backend().compiled(function)
    return graph


def _backend() -> Any:
    """The module for Keras' backend, each with ``num_gpus``, ``set_up``, ``parallel`` and ``compiled``."""
    import keras

    name = keras.config.backend()
    if name == "tensorflow":
        from sepcore.training import devices_tensorflow as backend
    elif name == "jax":
        from sepcore.training import devices_jax as backend  # type: ignore[no-redef]
    else:
        raise TrainingError(
            f"KERAS_BACKEND is {name}, but networks train only with tensorflow or jax", hint="Set it to one of them."
        )
    return backend
