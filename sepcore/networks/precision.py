"""What the layers of a network compute in."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Within it, networks are built and compiled in a policy of Keras; other networks of the process are not.

    Keras wraps the optimizer of a ``mixed_float16`` network in a `keras.optimizers.LossScaleOptimizer` when it is
    compiled; its scale and its counter come first in ``optimizer.variables``.

    Args:
        name: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``; weights are float32 in all of them.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
