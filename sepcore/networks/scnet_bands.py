"""SCNet's layers that make a band's bins fewer and more."""

from typing import Any

import numpy as np
from keras import ops

from sepcore.networks.scnet_geometry import Band
from sepcore.networks.torch_layers import Affine


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
            x = ops.reshape(x, (-1, frames, sum(band.cut) + band.bins, self.bias.shape[0]))
        else:
            x = ops.conv_transpose(x, self.kernel, (1, band.stride), "valid", data_format="channels_last")
        below, _ = band.cut
        return x[:, :, below : below + band.bins] + self.bias
