"""Layers with PyTorch's initial weights, epsilon and order of gates, stored in its layout; channels last here.

Tensors have ``(batch, frames, bins, channels)``. Every layer draws its initial weights from the ``rng`` that it is
given when it is made, so they depend on the generator's seed and on the order of the layers, and on no backend.
"""

from collections.abc import Callable, Iterator
from math import prod, sqrt
from typing import Any

import keras
import numpy as np
from keras import ops

from sepcore.networks.stored_layers import Array, Shape, StoredVariable

_EPSILON = 1e-5


def _uniform(rng: np.random.Generator, bound: float, draws: int = 1) -> Callable[..., Any]:
    """An initializer: the sum of ``draws`` values between ``-bound`` and ``bound``."""

    def initial(shape: Shape, dtype: str | None = None) -> Any:
        return ops.convert_to_tensor(rng.uniform(-bound, bound, (draws, *shape)).sum(axis=0), dtype or "float32")

    return initial


class TorchLayer(keras.layers.Layer):
    """A layer, or several in one, that knows its tensors' names and shapes in PyTorch.

    Its weights are made with it: Keras need not trace its call to find their shapes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.built = True

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """Its weights in PyTorch's order; ``name`` is that of the layer in a state dict."""
        raise NotImplementedError


class Affine(TorchLayer):
    """A kernel and a bias.

    Args:
        shape: Of the kernel here.
        axes: For each axis of the kernel here, that of PyTorch's, which may have others of length 1.
        stored_shape: Of PyTorch's kernel; all but its first axis lead to one output, if PyTorch is asked.
        num_outputs: Values of the bias.
        rng: Gives the initial values: uniform, up to one over the root of the number of inputs.
    """

    def __init__(
        self, shape: Shape, axes: Shape, stored_shape: Shape, num_outputs: int, rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.axes, self.stored_shape = axes, stored_shape
        initial = _uniform(rng, 1 / sqrt(prod(stored_shape[1:])))
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=initial)
        self.bias = self.add_weight(name="bias", shape=(num_outputs,), initializer=initial)

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        ones = tuple(axis for axis in range(len(self.stored_shape)) if axis not in self.axes)
        order = (*self.axes, *ones)
        shape = tuple(self.kernel.shape)
        permuted = tuple(self.stored_shape[axis] for axis in order)

        def to_keras(value: Array) -> Array:
            return value.transpose(order).reshape(shape)

        def to_stored(value: Array) -> tuple[Array]:
            return (np.ascontiguousarray(value.reshape(permuted).transpose(np.argsort(order))),)

        yield StoredVariable((f"{name}.weight",), self.kernel, to_keras, to_stored, self.stored_shape)
        yield StoredVariable((f"{name}.bias",), self.bias)


class Dense(Affine):
    """Over the channels: PyTorch's ``Linear``, or with ``kernel_axes`` of 1 its convolution that sees one place."""

    def __init__(self, inputs: int, outputs: int, rng: np.random.Generator, *, kernel_axes: int = 0) -> None:
        super().__init__((inputs, outputs), (1, 0), (outputs, inputs, *[1] * kernel_axes), outputs, rng)

    def call(self, x: Any) -> Any:
        """``(…, inputs)`` to ``(…, outputs)``."""
        return ops.matmul(x, self.kernel) + self.bias


class Convolution(Affine):
    """Of odd size, padded with zeros so that frames and bins stay as many.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        size: Frames and bins that it sees.
        rng: See `Affine`.
        over_frames: Whether PyTorch's has no axis of bins; ``size`` has 1 there.
    """

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], rng: np.random.Generator, *, over_frames: bool = False
    ) -> None:
        frames, bins = size
        stored = (outputs, inputs, frames) if over_frames else (outputs, inputs, bins, frames)
        # (frames, bins, inputs, outputs) here; the axis of bins that PyTorch lacks is added by Affine's reshape.
        axes = (2, 1, 0) if over_frames else (3, 2, 1, 0)
        super().__init__((frames, bins, inputs, outputs), axes, stored, outputs, rng)

    def call(self, x: Any) -> Any:
        """``(batch, frames, bins, inputs)`` to ``(batch, frames, bins, outputs)``."""
        return ops.conv(x, self.kernel, padding="same", data_format="channels_last") + self.bias


class FrameFilters(Affine):
    """A filter over frames for each channel, of odd length: PyTorch's ``Conv1d`` with as many groups as channels."""

    def __init__(self, channels: int, frames: int, rng: np.random.Generator) -> None:
        super().__init__((frames, channels), (2, 0), (channels, 1, frames), channels, rng)

    def call(self, x: Any) -> Any:
        """Filtered, of the same shape: ``(batch, frames, bins, channels)``."""
        # Sums of shifted copies: the gradient of TensorFlow's depthwise convolution is slow on CPUs.
        taps, frames = self.kernel.shape[0], x.shape[1]
        padded = ops.pad(x, ((0, 0), (taps // 2, taps // 2), (0, 0), (0, 0)))
        return sum(padded[:, tap : tap + frames] * self.kernel[tap] for tap in range(taps)) + self.bias


class Norm(TorchLayer):
    """PyTorch's ``GroupNorm`` of one group: mean 0 and deviation 1 over ``axes``, then a scale and a shift by channel.

    Statistics are float32 whatever the precision.
    """

    def __init__(self, channels: int, axes: tuple[int, ...]) -> None:
        super().__init__()
        self.axes = axes
        self.scale = self.add_weight(name="scale", shape=(channels,), initializer="ones")
        self.shift = self.add_weight(name="shift", shape=(channels,), initializer="zeros")

    def call(self, x: Any) -> Any:
        """Of the shape of ``x``; silence stays silence before the shift."""
        full = ops.cast(x, "float32")
        mean = ops.mean(full, axis=self.axes, keepdims=True)
        centered = full - mean
        variance = ops.mean(ops.square(centered), axis=self.axes, keepdims=True)
        normalized = centered * ops.rsqrt(variance + _EPSILON)
        return ops.cast(normalized, self.compute_dtype) * self.scale + self.shift

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        yield StoredVariable((f"{name}.weight",), self.scale)
        yield StoredVariable((f"{name}.bias",), self.shift)


class BidirectionalLSTM(TorchLayer):
    """PyTorch's ``LSTM`` of one layer in both directions: Keras' own, which runs on cuDNN where there is a GPU.

    Its gates have the same order. PyTorch has two biases, which it adds: here they are one, stored as the first of them
    beside zeros.
    """

    def __init__(self, inputs: int, units: int, rng: np.random.Generator) -> None:
        super().__init__()
        bound = 1 / sqrt(units)
        self.forward, self.backward = (
            keras.layers.LSTM(
                units,
                return_sequences=True,
                go_backwards=backwards,
                unit_forget_bias=False,
                kernel_initializer=_uniform(rng, bound),
                recurrent_initializer=_uniform(rng, bound),
                bias_initializer=_uniform(rng, bound, draws=2),
            )
            for backwards in (False, True)
        )
        for layer in (self.forward, self.backward):
            layer.build((None, None, inputs))

    def call(self, x: Any) -> Any:
        """``(sequences, steps, inputs)`` to ``(sequences, steps, 2 * units)``, forward units first."""
        return ops.concatenate([self.forward(x), ops.flip(self.backward(x), axis=1)], axis=-1)

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""

        def transposed(value: Array) -> Array:
            return value.T

        def to_stored(value: Array) -> tuple[Array]:
            return (np.ascontiguousarray(value.T),)

        def both_biases(value: Array) -> tuple[Array, Array]:
            return value, np.zeros_like(value)

        for layer, suffix in ((self.forward, ""), (self.backward, "_reverse")):
            cell = layer.cell
            for leaf, kernel in (("ih", cell.kernel), ("hh", cell.recurrent_kernel)):
                stored_shape = tuple(kernel.shape)[::-1]
                tensor = f"{name}.weight_{leaf}_l0{suffix}"
                yield StoredVariable((tensor,), kernel, transposed, to_stored, stored_shape)
            biases = (f"{name}.bias_ih_l0{suffix}", f"{name}.bias_hh_l0{suffix}")
            yield StoredVariable(biases, cell.bias, np.add, both_biases)
