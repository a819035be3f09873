"""The devices that a training runs on: how many, with how much memory, and in which arithmetic."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError


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

    Best called before anything is computed: most of it can only be set before the first computation. What is so
    already is left alone, so that it may be called again.

    Raises:
        TrainingError: if it cannot be had: fewer GPUs, a backend of Keras without it, or too late.
    """
    _backend().set_up(config)


def parallel_devices(config: ModelConfig) -> Parallel | None:
    """The devices that share a batch; None where one does all, as a config without ``num_devices`` has it on a CPU.

    Call `set_up_devices` before.

    Raises:
        TrainingError: if they cannot be used together with another key of the config.
    """
    parallel: Parallel | None = _backend().parallel(config)
    return parallel


def _backend() -> Any:
    """The module for Keras' backend, each with ``set_up`` and ``parallel``."""
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
