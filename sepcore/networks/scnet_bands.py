"""SCNet's bands: how many bins each has at every level, and the layers that make them fewer and more."""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from keras import ops

from sepcore.config.network import SCNetParams
from sepcore.errors import ConfigError
from sepcore.networks.torch_layers import Affine


@dataclass(frozen=True)
class Band:
    """One band of one level: which bins it has, and how they become fewer."""

    start: int
    bins: int
    kernel: int
    stride: int

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros below and above the band's bins."""
        total = self.kernel - 1 if self.stride == 1 else -self.bins % self.stride
        return total // 2, total - total // 2

    @property
    def reduced(self) -> int:
        """Bins after the convolution."""
        return (self.bins + sum(self.padding) - self.kernel) // self.stride + 1

    @property
    def expanded(self) -> int:
        """Bins after the transposed convolution, before it is cut to `bins`."""
        return (self.reduced - 1) * self.stride + self.kernel


def level_bands(params: SCNetParams, num_bins: int) -> list[tuple[Band, ...]]:
    """The bands of every level of the encoder, from the network's input on.

    Raises:
        ConfigError: a band has no bins, or the decoder would lose some.
    """
    levels = []
    low, mid, _ = params.band_shares
    for _ in params.dims[1:]:
        edges = (0, ceil(num_bins * low), ceil(num_bins * (low + mid)), num_bins)
        sizes = zip(edges, np.diff(edges).tolist(), params.band_kernels, params.band_strides, strict=False)
        bands = tuple(Band(*size) for size in sizes)
        if min(band.bins for band in bands) < 1 or min(band.reduced for band in bands) < 1:
            raise ConfigError(
                f"{num_bins} bins in a level of {len(params.dims) - 1} do not fill three bands",
                hint="Raise F, or shorten model.params.dims.",
            )
        if any(band.expanded < band.bins for band in bands):
            raise ConfigError(
                f"band_kernel is {list(params.band_kernels)}, which loses bins at the ends of a band",
                hint=f"Take {list(params.band_strides)} for those that have a stride.",
            )
        levels.append(bands)
        num_bins = sum(band.reduced for band in bands)
    return levels


class BandEncoder(Affine):
    """A convolution over a band's bins, with a stride."""

    def __init__(self, band: Band, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.band = band
        size = band.kernel
        super().__init__((1, size, inputs, outputs), (3, 2, 1, 0), (outputs, inputs, size, 1), outputs, rng)

    def call(self, x: Any) -> Any:
        """``(batch, frames, all bins, inputs)`` to ``(batch, frames, band.reduced, outputs)``."""
        band, (_, frames, _, channels) = self.band, x.shape
        x = ops.pad(x[:, :, band.start : band.start + band.bins], ((0, 0), (0, 0), band.padding, (0, 0)))
        if band.kernel == band.stride:  # no bin is seen twice
            x = ops.reshape(x, (-1, frames, band.reduced, band.kernel * channels))
            return ops.matmul(x, ops.reshape(self.kernel, (band.kernel * channels, -1))) + self.bias
        return ops.conv(x, self.kernel, (1, band.stride), "valid", data_format="channels_last") + self.bias


class BandDecoder(Affine):
    """The transposed convolution, cut evenly to the bins that the band had."""

    def __init__(self, band: Band, inputs: int, outputs: int, rng: np.random.Generator) -> None:
        self.band = band
        size = band.kernel
        super().__init__((1, size, outputs, inputs), (3, 2, 1, 0), (inputs, outputs, size, 1), outputs, rng)

    def call(self, x: Any) -> Any:
        """``(batch, frames, band.reduced, inputs)`` to ``(batch, frames, band.bins, outputs)``."""
        band, (_, frames, _, channels) = self.band, x.shape
        if band.kernel == band.stride:
            x = ops.matmul(x, ops.transpose(ops.reshape(self.kernel, (-1, channels))))
            x = ops.reshape(x, (-1, frames, band.expanded, self.bias.shape[0]))
        else:
            x = ops.conv_transpose(x, self.kernel, (1, band.stride), "valid", data_format="channels_last")
        cut = (band.expanded - band.bins) // 2
        return x[:, :, cut : cut + band.bins] + self.bias
