"""Devices under TensorFlow: memory and arithmetic of the GPUs, and mirrored training."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from sepcore.config.model_config import ModelConfig
from sepcore.errors import TrainingError
from sepcore.networks.instrument import InstrumentNetwork
from sepcore.networks.keras_settings import let_memory_grow, use_full_float32


def num_gpus(config: ModelConfig) -> int:
    """GPUs that TensorFlow sees."""
    return len(tf.config.list_physical_devices("GPU"))


def set_up(config: ModelConfig, count: int) -> None:
    """See `devices.set_up_devices`; ``count`` devices share a batch."""
    gpus = tf.config.list_physical_devices("GPU")
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    use_full_float32(config.deterministic)
    try:
        if config.gpu_memory_mb:
            for gpu in gpus:
                _set_logical(gpu, [tf.config.LogicalDeviceConfiguration(memory_limit=config.gpu_memory_mb)])
        elif not gpus and count > 1:
            (cpu,) = tf.config.list_physical_devices("CPU")
            _set_logical(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError as error:
        key = "gpu_memory_mb" if config.gpu_memory_mb else "num_devices"
        raise TrainingError(
            f"{key} is {getattr(config, key)}, but TensorFlow has already computed something in this process, and it "
            "cannot be set after that",
            hint="Start the training in a process of its own.",
        ) from error
    if not config.gpu_memory_mb:
        let_memory_grow()


def _set_logical(device: Any, wanted: list[Any]) -> None:
    """Split a device into logical ones, unless it is split that way already."""
    if tf.config.get_logical_device_configuration(device) != wanted:
        tf.config.set_logical_device_configuration(device, wanted)


def parallel(config: ModelConfig, count: int) -> "MirroredDevices":
    """See `devices.parallel_devices`; ``count`` is above 1."""
    if config.jit:
        raise TrainingError(
            f"jit is true and {count} devices share a batch, but TensorFlow compiles a step for one device only",
            hint="Set jit to false, or num_devices to 1.",
        )
    kind = "GPU" if num_gpus(config) else "CPU"
    return MirroredDevices([f"{kind}:{index}" for index in range(count)])


def compiled(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """See `devices.compiled`."""
    graph: Callable[[Any], Any] = tf.function(function, autograph=False)
    return lambda array: graph(tf.convert_to_tensor(array))


@cache
def _strategy(names: tuple[str, ...]) -> Any:
    # One for all trainings of a process: each numbers its exchanges between devices from the same number on, and
    # TensorFlow refuses a number that had another shape under the one before.
    return tf.distribute.MirroredStrategy(names)


class MirroredDevices:
    """Devices with a copy of the weights each, on which a step gives what it gives on one.

    Under `tf.distribute.MirroredStrategy` every device computes the gradients of its part of the batch. Keras does
    three things per device that should be done for the whole batch; `prepare` corrects them.
    """

    def __init__(self, names: list[str]) -> None:
        self._strategy = _strategy(tuple(names))
        self._devices = self._strategy.extended.worker_devices

    def scope(self) -> AbstractContextManager[Any]:
        """See `devices.Parallel`."""
        scope: AbstractContextManager[Any] = self._strategy.scope()
        return scope

    def prepare(self, network: Any, config: ModelConfig) -> None:
        """See `devices.Parallel`."""
        for part in network.layers:
            for _, layer in part.spleeter_layers() if isinstance(part, InstrumentNetwork) else ():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True
        if config.clip_norm or config.precision == "mixed_float16":
            self._share_gradients_first(network.optimizer)
        # Keras builds metrics from the shapes of a batch, which a split one does not tell: let it see a whole one.
        targets = np.zeros((len(self._devices), *network.output_shape[1:]), np.float32)
        network.test_on_batch(targets[:, 0], targets)

    def _share_gradients_first(self, optimizer: Any) -> None:
        """Let the optimizer see the whole batch's gradients, divided by the devices, over which it adds them up.

        Otherwise each device would clip by the norm of its own, and scale its loss by whether its own are finite,
        whatever those of the others are.
        """
        apply = optimizer.apply
        clipping = getattr(optimizer, "inner_optimizer", optimizer)
        if clipping.global_clipnorm:
            clipping.global_clipnorm /= len(self._devices)

        def apply_shared(gradients: Any, variables: Any = None) -> None:
            gradients = list(gradients)
            known = [gradient for gradient in gradients if gradient is not None]
            shared = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, known))
            apply([None if gradient is None else next(shared) for gradient in gradients], variables)

        optimizer.apply = apply_shared

    def split(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        """See `devices.Parallel`."""
        mixture, targets = (self._shared_out(np.asarray(part)) for part in batch)
        return mixture, targets

    def _shared_out(self, values: Any) -> Any:
        parts = np.split(values, len(self._devices))

        def part(context: Any) -> Any:
            index = context.replica_id_in_sync_group
            with tf.device(self._devices[index]):
                return tf.convert_to_tensor(parts[index])

        return self._strategy.experimental_distribute_values_from_function(part)
