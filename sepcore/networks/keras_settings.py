"""Settings of Keras and its backend: a GPU's memory, float32 in full, and what layers compute in."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import keras

_logger = logging.getLogger(__name__)


def let_memory_grow() -> None:
    """Let this process take a GPU's memory as it needs it, instead of all of it at once.

    Works only before the first computation and where the memory has no limit. JAX goes by
    ``XLA_PYTHON_CLIENT_PREALLOCATE``.
    """
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            if not tf.config.experimental.get_memory_growth(gpu):
                tf.config.experimental.set_memory_growth(gpu, True)
        except (RuntimeError, ValueError) as error:
            _logger.info("%s: memory setting not changed (%s)", gpu.name, error)


def use_full_float32(full: bool = True) -> None:
    """Let this process multiply float32 in float32, or in TF32 as GPUs since Ampere do by default.

    TF32 keeps 10 bits of a number: stems then differ by about 1e-3 of their peak.
    """
    if keras.config.backend() == "jax":
        import jax

        cast(Any, jax.config).update("jax_default_matmul_precision", "highest" if full else None)
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(not full)


@contextmanager
def full_float32() -> Iterator[None]:
    """`use_full_float32` within a block; nothing else may compute in this process meanwhile."""
    if keras.config.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
        return
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    use_full_float32()
    try:
        yield
    finally:
        use_full_float32(not before)


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Build and compile the networks of a block in a dtype policy of Keras.

    Keras wraps the optimizer of a ``mixed_float16`` network in a `keras.optimizers.LossScaleOptimizer` when it is
    compiled; its scale and its counter come first in ``optimizer.variables``.

    Args:
        name: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``; weights are float32 in all of them.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
