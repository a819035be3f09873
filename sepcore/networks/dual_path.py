"""SCNet's separation network: recurrent layers over bins and over frames, and over the Fourier transform of frames."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from sepcore.networks.stored_layers import StoredVariable
from sepcore.networks.torch_layers import BidirectionalLSTM, Dense, Norm, TorchLayer


class DualPath(TorchLayer):
    """A recurrent layer over the bins of each frame, then one over the frames of each bin, added to their inputs."""

    def __init__(self, channels: int, expand: int, rng: np.random.Generator) -> None:
        super().__init__()
        units = channels * expand
        self.norms = [Norm(channels, axes=(1, 2, 3)) for _ in range(2)]
        self.recurrent = [BidirectionalLSTM(channels, units, rng) for _ in range(2)]
        self.dense = [Dense(2 * units, channels, rng) for _ in range(2)]

    def call(self, x: Any) -> Any:
        """Of the shape of ``x``: ``(batch, frames, bins, channels)``."""
        x = x + self._along_bins(self.norms[0](x), 0)
        by_bins = ops.transpose(self.norms[1](x), (0, 2, 1, 3))
        return x + ops.transpose(self._along_bins(by_bins, 1), (0, 2, 1, 3))

    def _along_bins(self, x: Any, path: int) -> Any:
        """The third axis is the recurrent layer's time."""
        _, rows, steps, channels = x.shape
        sequences = ops.reshape(x, (-1, steps, channels))
        return ops.reshape(self.dense[path](self.recurrent[path](sequences)), (-1, rows, steps, channels))

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        for part, layers in (("lstm", self.recurrent), ("linear", self.dense), ("norm", self.norms)):
            for index, layer in enumerate(layers):
                yield from layer.stored_variables(f"{name}.{part}_layers.{index}")


class SeparationNet(TorchLayer):
    """Dual-path layers, in turn on frames and on their spectrum, which has twice the channels.

    Args:
        channels: Of its input and output.
        num_layers: Even.
        expand: See `sepcore.config.network.SCNetParams`.
        frames: Of its input; even.
        rng: Gives the initial weights.
    """

    def __init__(self, channels: int, num_layers: int, expand: int, frames: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.layers = [DualPath(channels * (1 + index % 2), expand, rng) for index in range(num_layers)]
        self.cosines, self.sines = _transform(frames)
        self.inverse_cosines, self.inverse_sines = _inverse_transform(frames)

    def call(self, x: Any) -> Any:
        """Of the shape of ``x``: ``(batch, frames, bins, channels)``."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self._from_spectrum(x) if index % 2 else self._to_spectrum(x)
        return x

    def _to_spectrum(self, x: Any) -> Any:
        """``(batch, frames / 2 + 1, bins, 2 * channels)``: real parts, then imaginary parts."""
        parts = [_over_frames(matrix, x) for matrix in (self.cosines, self.sines)]
        return ops.cast(ops.concatenate(parts, axis=-1), self.compute_dtype)

    def _from_spectrum(self, x: Any) -> Any:
        real, imaginary = ops.split(x, 2, axis=-1)
        frames = _over_frames(self.inverse_cosines, real) + _over_frames(self.inverse_sines, imaginary)
        return ops.cast(frames, self.compute_dtype)

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        for index, layer in enumerate(self.layers):
            yield from layer.stored_variables(f"{name}.dp_modules.{index}")


def _over_frames(matrix: NDArray[np.float32], x: Any) -> Any:
    """A matrix times the frames of each bin and channel, in float32."""
    _, frames, bins, channels = x.shape
    flat = ops.reshape(ops.cast(x, "float32"), (-1, frames, bins * channels))
    return ops.reshape(ops.matmul(matrix, flat), (-1, matrix.shape[0], bins, channels))


def _transform(frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The orthonormal real Fourier transform: real and imaginary parts as matrices ``(frames / 2 + 1, frames)``."""
    # Whole turns are taken off before the float arithmetic, and sines of half turns are 0 as in a fast transform.
    steps = np.outer(np.arange(frames // 2 + 1), np.arange(frames)) % frames
    phases = 2 * np.pi * steps / frames
    sines = np.where(steps * 2 % frames, -np.sin(phases), 0.0)
    root = np.sqrt(frames)
    return (np.cos(phases) / root).astype(np.float32), (sines / root).astype(np.float32)


def _inverse_transform(frames: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Its inverse, of real and of imaginary parts, ``(frames, frames / 2 + 1)``.

    The imaginary parts of the first and the last frequency meet sines of 0: like a fast transform, it ignores them.
    """
    twice = np.full((frames // 2 + 1, 1), 2, np.float32)
    twice[[0, -1]] = 1
    cosines, sines = _transform(frames)
    return (twice * cosines).T.copy(), (twice * sines).T.copy()
