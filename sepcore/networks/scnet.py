"""SCNet: spectra to the stems' spectra, through bands that are compressed the more, the higher they lie."""

from collections.abc import Iterator
from itertools import accumulate
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import SCNetParams
from sepcore.networks.dual_path import SeparationNet
from sepcore.networks.scnet_bands import BandDecoder, BandEncoder
from sepcore.networks.scnet_geometry import STANDARDIZE_EPSILON, Band, level_bands
from sepcore.networks.stored_layers import SelfNamedNetwork, StoredVariable
from sepcore.networks.torch_layers import Convolution, Dense, FrameFilters, Norm, TorchLayer

_SQUARE = (3, 3)  # of the convolutions over all bands
_VALUES = (1, 2, 3)  # axes of an example


class ConvolutionModule(TorchLayer):
    """Residual convolutions over the frames of each bin by itself, through fewer channels."""

    def __init__(self, params: SCNetParams, channels: int, depth: int, rng: np.random.Generator) -> None:
        super().__init__()
        hidden, size = channels // params.compress, params.conv_kernel
        self.steps: list[dict[str, TorchLayer]] = [
            {  # by the place in PyTorch's Sequential, whose others have no weights
                "0": Norm(channels, axes=(1, 3)),
                "1": Convolution(channels, 2 * hidden, (size, 1), rng, over_frames=True),
                "3": FrameFilters(hidden, size, rng),
                "4": Norm(hidden, axes=(1, 3)),
                "6": Dense(hidden, channels, rng, kernel_axes=1),
            }
            for _ in range(depth)
        ]

    def call(self, x: Any) -> Any:
        """Of the shape of ``x``: ``(batch, frames, bins, channels)``."""
        for step in self.steps:
            hidden = step["3"](_gated(step["1"](step["0"](x))))
            x = x + step["6"](ops.silu(step["4"](hidden)))
        return x

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        for depth, step in enumerate(self.steps):
            for place, layer in step.items():
                yield from layer.stored_variables(f"{name}.layers.{depth}.{place}")


class Encoder(TorchLayer):
    """One level down: fewer bins in each band, then a convolution over all of them."""

    def __init__(
        self, params: SCNetParams, bands: tuple[Band, ...], inputs: int, outputs: int, rng: np.random.Generator
    ) -> None:
        super().__init__()
        self.down: list[TorchLayer] = [BandEncoder(band, inputs, outputs, rng) for band in bands]
        self.convolutions: list[TorchLayer] = [
            ConvolutionModule(params, outputs, depth, rng) for depth in params.conv_depths
        ]
        self.over_all = Convolution(outputs, outputs, _SQUARE, rng)

    def call(self, x: Any) -> tuple[Any, Any]:
        """The level's output, and what goes to the decoder, both ``(batch, frames, fewer bins, outputs)``."""
        pairs = zip(self.down, self.convolutions, strict=True)
        bands = [_gelu(convolution(down(x))) for down, convolution in pairs]
        skip = ops.concatenate(bands, axis=2)
        return self.over_all(skip), skip

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        parts: list[tuple[str, list[TorchLayer]]] = [("SDlayer.convs", self.down), ("conv_modules", self.convolutions)]
        for place, layers in parts:
            for index, layer in enumerate(layers):
                yield from layer.stored_variables(f"{name}.{place}.{index}")
        yield from self.over_all.stored_variables(f"{name}.globalconv")


class Decoder(TorchLayer):
    """One level up: the encoder's output of the same level is added, then each band gets its bins back."""

    def __init__(self, bands: tuple[Band, ...], inputs: int, outputs: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.fusion = Fusion(inputs, rng)
        self.up = [BandDecoder(band, inputs, outputs, rng) for band in bands]
        self.edges = [0, *accumulate(band.reduced for band in bands)]

    def call(self, x: Any, skip: Any) -> Any:
        """``(batch, frames, fewer bins, inputs)`` twice, to ``(batch, frames, bins, outputs)``."""
        x = _gated(self.fusion(x + skip))
        places = zip(self.up, self.edges[:-1], self.edges[1:], strict=True)
        return ops.concatenate([up(x[:, :, start:end]) for up, start, end in places], axis=2)

    def stored_variables(self, name: str) -> Iterator[StoredVariable]:
        """See `TorchLayer.stored_variables`."""
        yield from self.fusion.stored_variables(f"{name}.0.conv")
        for index, layer in enumerate(self.up):
            yield from layer.stored_variables(f"{name}.1.convtrs.{index}")


class Fusion(Convolution):
    """A convolution of an input that is given to it twice over, side by side in the channels."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        super().__init__(2 * channels, 2 * channels, _SQUARE, rng)

    def call(self, x: Any) -> Any:
        """``(batch, frames, bins, channels)`` to twice the channels."""
        # Both halves of the kernel meet the same values: their sum does it in half the multiplications.
        first, second = ops.split(self.kernel, 2, axis=2)
        return ops.conv(x, first + second, padding="same", data_format="channels_last") + self.bias


def _gelu(x: Any) -> Any:
    """PyTorch's ``GELU``; TensorFlow's own has an operator that ONNX has not."""
    return 0.5 * x * (1 + ops.erf(x * 2**-0.5))


def _gated(x: Any) -> Any:
    """PyTorch's ``GLU`` over the channels."""
    values, gates = ops.split(x, 2, axis=-1)
    return values * ops.sigmoid(gates)


class SCNet(SelfNamedNetwork):
    """The stems' spectra, estimated directly instead of by masks.

    An encoder makes the bins of a low, a middle and a high band fewer, the high ones most; recurrent layers over bins
    and frames separate what is left; a decoder gives every band its bins back. Its tensors in a checkpoint have the
    names and the layout of its author's PyTorch code.

    References:
        W. Tong et al., "SCNet: Sparse Compression Network for Music Source Separation", ICASSP 2024.
    """

    def __init__(self, params: SCNetParams, config: ModelConfig) -> None:
        super().__init__(name="scnet")
        self.num_stems = len(config.instruments)
        rng = np.random.default_rng(config.random_seed)
        levels = level_bands(params, config.num_bins)
        widths = list(zip(params.dims, params.dims[1:], strict=False))
        self.encoders: list[TorchLayer] = [
            Encoder(params, bands, *width, rng) for bands, width in zip(levels, widths, strict=True)
        ]
        self.separation = SeparationNet(
            params.dims[-1], params.num_dual_path_layers, params.expand, config.segment_frames, rng
        )
        self.decoders: list[TorchLayer] = [
            Decoder(bands, inputs, outputs if level else outputs * self.num_stems, rng)
            for level, (bands, (outputs, inputs)) in reversed(list(enumerate(zip(levels, widths, strict=True))))
        ]

        self.built = True  # as its layers are

    def compute_output_spec(self, spectra: Any) -> Any:
        """Shape and dtype of the stems, without tracing the network for them."""
        batch, *rest = spectra.shape
        return keras.KerasTensor((batch, self.num_stems, *rest), self.compute_dtype)

    def call(self, spectra: Any) -> Any:
        """``(batch, frames, bins, 2 * channels)`` to ``(batch, stems, frames, bins, 2 * channels)``."""
        _, frames, bins, parts = spectra.shape
        x, skips = spectra, []
        for encoder in self.encoders:
            x, skip = encoder(x)
            skips.append(skip)
        x = self.separation(x)
        for decoder in self.decoders:
            x = decoder(x, skips.pop())
        stems = ops.reshape(x, (-1, frames, bins, self.num_stems, parts))
        return ops.transpose(stems, (0, 3, 1, 2, 4))

    def stored_variables(self) -> Iterator[StoredVariable]:
        """See `SelfNamedNetwork.stored_variables`; in the order of PyTorch's state dict."""
        parts: list[tuple[str, list[TorchLayer]]] = [("encoder", self.encoders), ("decoder", self.decoders)]
        for name, layers in parts:
            for index, layer in enumerate(layers):
                yield from layer.stored_variables(f"{name}.{index}")
        yield from self.separation.stored_variables("separation_net")


def build_scnet(inputs: Any, config: ModelConfig) -> Any:
    """``scnet.scnet``; see `registry.build_network` for shapes."""
    params = config.model.params
    assert isinstance(params, SCNetParams)
    # float32 whatever the precision of the layers: operations on the input itself, outside of any layer.
    if not params.standardize:
        return ops.cast(SCNet(params, config)(inputs), "float32")
    mean = ops.mean(inputs, axis=_VALUES, keepdims=True)
    centered = inputs - mean
    deviation = ops.sqrt(ops.sum(ops.square(centered), axis=_VALUES, keepdims=True) / (prod(inputs.shape[1:]) - 1))
    stems = ops.cast(SCNet(params, config)(centered / (deviation + STANDARDIZE_EPSILON)), "float32")
    return stems * deviation[:, None] + mean[:, None]
