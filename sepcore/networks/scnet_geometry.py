"""What SCNet is in any runtime: how many bins its bands have at every level, and the constant of its statistics."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from sepcore.config.network import SCNetParams
from sepcore.errors import ConfigError

STANDARDIZE_EPSILON = 1e-5
"""Added to the deviation that `SCNetParams.standardize` divides spectra by."""


@dataclass(frozen=True)
class Band:
    """One band of one level: which bins it has, and how they become fewer."""

    start: int
    bins: int
    kernel: int
    stride: int

    @property
    def stop(self) -> int:
        """The first bin above it."""
        return self.start + self.bins

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
    def cut(self) -> tuple[int, int]:
        """Bins to cut off below and above after the transposed convolution, so that as many are left as there were."""
        total = (self.reduced - 1) * self.stride + self.kernel - self.bins
        return total // 2, total - total // 2


def level_bands(params: SCNetParams, num_bins: int) -> list[tuple[Band, ...]]:
    """The bands of every level of the encoder, from the network's input on.

    Raises:
        ConfigError: a band has no bins, or the decoder would lose some.
    """
    levels = []
    low, middle, _ = params.band_shares
    for _ in params.dims[1:]:
        edges = (0, ceil(num_bins * low), ceil(num_bins * (low + middle)), num_bins)
        sizes = zip(pairwise(edges), params.band_kernels, params.band_strides, strict=True)
        bands = tuple(Band(start, stop - start, kernel, stride) for (start, stop), kernel, stride in sizes)
        if min(band.bins for band in bands) < 1 or min(band.reduced for band in bands) < 1:
            raise ConfigError(
                f"{num_bins} bins in a level of {len(params.dims) - 1} do not fill three bands",
                hint="Raise F, or shorten model.params.dims.",
            )
        if min(sum(band.cut) for band in bands) < 0:
            raise ConfigError(
                f"band_kernel is {list(params.band_kernels)}, which loses bins at the ends of a band",
                hint=f"Take {list(params.band_strides)} for those that have a stride.",
            )
        levels.append(bands)
        num_bins = sum(band.reduced for band in bands)
    return levels
