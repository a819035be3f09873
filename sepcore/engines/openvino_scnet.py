"""SCNet, built in OpenVINO directly from the tensors of PyTorch's state dict: its encoder and decoder."""

from collections.abc import Mapping
from math import prod, sqrt
from typing import Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import SCNetParams
from sepcore.engines.openvino_dual_path import DualPath
from sepcore.engines.openvino_graph import Array, shape
from sepcore.networks.scnet_geometry import STANDARDIZE_EPSILON, Band, level_bands


def build_scnet(openvino: Any, config: ModelConfig, tensors: Mapping[str, Array]) -> Any:
    """SCNet as an ``openvino.Model``, with the tensors of its checkpoint (`sepcore.networks.scnet_tensors`).

    It turns complex spectra into those of the stems, real and imaginary parts of each channel in turn: float32
    ``(1, T, F, 2 * channels)`` to ``(1, stems, T, F, 2 * channels)``, so that nobody has to move axes. Inside, channels
    stay last, too, as OpenVINO's convolutions want them in memory; the axes before them are bins and frames, since
    norms and convolutions over frames take a bin at a time.

    Raises:
        ConfigError: the bins do not fill the bands.

    References:
        W. Tong et al., "SCNet: Sparse Compression Network for Music Source Separation", ICASSP 2024; the author's code.
    """
    params = config.model.params
    assert isinstance(params, SCNetParams)
    return _SCNet(openvino, tensors).build(config, params)


def _deviation_ratio(x: Any) -> float:
    """PyTorch's deviation of so many values, in relation to the root of the mean square."""
    number = prod(shape(x))
    return sqrt(number / (number - 1))


class _SCNet(DualPath):
    """All tensors between the input and the output are ``(bins, frames, channels)``."""

    def build(self, config: ModelConfig, params: SCNetParams) -> Any:
        frames, num_bins, width = config.segment_frames, config.num_bins, params.dims[0]
        levels = level_bands(params, num_bins)
        spectra = self._op.parameter([1, frames, num_bins, width], np.float32, name="spectra")
        given = self._standard(spectra) if params.standardize else spectra
        x = self._reshaped(self._moved(given, 0, 2, 1, 3), num_bins, frames, width)
        skips = []
        for level, bands in enumerate(levels):
            skips.append(self._encoded(x, f"encoder.{level}", bands, params.conv_depths))
            x = self._planar(skips[-1], f"encoder.{level}.globalconv")
        x = self._moved(self._separated(self._moved(x, 1, 0, 2), params.num_dual_path_layers), 1, 0, 2)
        for level, bands in enumerate(reversed(levels)):
            fused = self._fused(self._op.add(x, skips.pop()), f"decoder.{level}.0.conv")
            x = self._decoded(fused, f"decoder.{level}.1.convtrs", bands)
        stems = len(config.instruments)
        x = self._moved(self._reshaped(x, num_bins, frames, stems, width), 2, 1, 0, 3)
        x = self._op.unsqueeze(x, self._integers(0))
        x = self._as_before(x, spectra) if params.standardize else x
        return self._ov.Model([x], [spectra], "network")

    # In bfloat16 OpenVINO computes operations that lead to the network's layers in it, too, but within an MVN, and
    # after the last layer, in float32. So the deviation is computed once for each end.

    def _standard(self, spectra: Any) -> Any:
        """Spectra of mean 0 and deviation 1, which is divided by their number less one, as in PyTorch."""
        ratio = _deviation_ratio(spectra)
        centered = self._op.subtract(spectra, self._mean(spectra))
        made = self._op.mvn(centered, self._integers(1, 2, 3), True, STANDARDIZE_EPSILON / ratio, "outside_sqrt")
        return self._op.multiply(made, self._constant(np.array(1 / ratio)))

    def _as_before(self, stems: Any, spectra: Any) -> Any:
        """The stems with mean and deviation of the spectra."""
        mean = self._mean(spectra)
        variance = self._mean(self._op.power(self._op.subtract(spectra, mean), self._constant(np.array(2.0))))
        deviation = self._op.multiply(self._op.sqrt(variance), self._constant(np.array(_deviation_ratio(spectra))))
        one_more_axis = self._integers(1)
        scaled = self._op.multiply(stems, self._op.unsqueeze(deviation, one_more_axis))
        return self._op.add(scaled, self._op.unsqueeze(mean, one_more_axis))

    def _mean(self, x: Any) -> Any:
        return self._op.reduce_mean(x, self._integers(1, 2, 3), True)

    def _encoded(self, x: Any, place: str, bands: tuple[Band, ...], depths: tuple[int, ...]) -> Any:
        """Every band with fewer bins, after its convolution modules; side by side again."""
        outputs = []
        for number, (band, depth) in enumerate(zip(bands, depths, strict=True)):
            weights = self._tensors[f"{place}.SDlayer.convs.{number}.weight"]
            below, above = ((side, 0) for side in band.padding)
            image = self._image(self._rows(x, band.start, band.stop))
            made = self._op.convolution(image, self._constant(weights), [band.stride, 1], below, above, [1, 1])
            y = self._from_image(self._biased(made, f"{place}.SDlayer.convs.{number}"))
            for layer in range(depth):
                y = self._op.add(y, self._module(y, f"{place}.conv_modules.{number}.layers.{layer}"))
            outputs.append(self._op.gelu(y, "erf"))
        return self._op.concat(outputs, 0)

    def _module(self, x: Any, place: str) -> Any:
        """The residual branch of a convolution module, over the frames of each bin."""
        op, tensors = self._op, self._tensors
        x = self._normed(x, f"{place}.0")
        weights, bias = (np.split(tensors[f"{place}.1.{part}"], 2) for part in ("weight", "bias"))
        values, gates = (self._over_frames(x, *layer) for layer in zip(weights, bias, strict=True))
        x = op.multiply(values, op.sigmoid(gates))
        x = self._over_frames(x, tensors[f"{place}.3.weight"], tensors[f"{place}.3.bias"], by_channel=True)
        x = op.swish(self._normed(x, f"{place}.4"))
        return self._over_frames(x, tensors[f"{place}.6.weight"], tensors[f"{place}.6.bias"])

    def _normed(self, x: Any, place: str) -> Any:
        """A group norm of one group, for each bin, with a scale and a shift of each channel."""
        scale, shift = (self._constant(self._tensors[f"{place}.{part}"]) for part in ("weight", "bias"))
        return self._op.add(self._op.multiply(self._standardized(x, 1, 2), scale), shift)

    def _fused(self, x: Any, place: str) -> Any:
        """The fusion layer: its convolution sees the channels twice, which is one convolution with the sum."""
        weights = self._tensors[f"{place}.weight"]
        summed = weights[:, : len(weights) // 2] + weights[:, len(weights) // 2 :]
        values, gates = self._halves(self._planar(x, place, summed))
        return self._op.multiply(values, self._op.sigmoid(gates))

    def _decoded(self, x: Any, place: str, bands: tuple[Band, ...]) -> Any:
        """Every band with the bins that it had before the encoder's level."""
        outputs, start = [], 0
        for number, band in enumerate(bands):
            image = self._image(self._rows(x, start, start + band.reduced))
            start += band.reduced
            weights = self._constant(self._tensors[f"{place}.{number}.weight"])
            below, above = ((side, 0) for side in band.cut)
            strides = [band.stride, 1]
            made = self._op.convolution_backprop_data(image, weights, strides, None, below, above, [1, 1])
            outputs.append(self._from_image(self._biased(made, f"{place}.{number}")))
        return self._op.concat(outputs, 0)

    def _planar(self, x: Any, place: str, weights: Array | None = None) -> Any:
        """A convolution over bins and frames; by the checkpoint's ``weights`` if none are given."""
        weights = self._tensors[f"{place}.weight"] if weights is None else weights
        sides = [side // 2 for side in weights.shape[2:]]
        made = self._op.convolution(self._image(x), self._constant(weights), [1, 1], sides, sides, [1, 1])
        return self._from_image(self._biased(made, place))

    def _over_frames(self, x: Any, weights: Array, bias: Array, *, by_channel: bool = False) -> Any:
        op, side = self._op, [weights.shape[-1] // 2]
        x = self._moved(x, 0, 2, 1)
        if by_channel:
            x = op.group_convolution(x, self._constant(weights[:, None]), [1], side, side, [1])
        else:
            x = op.convolution(x, self._constant(weights), [1], side, side, [1])
        return self._moved(op.add(x, self._constant(bias.reshape(1, -1, 1))), 0, 2, 1)

    # Neither of these moves anything in memory, where convolutions have their channels last.

    def _image(self, x: Any) -> Any:
        return self._moved(self._op.unsqueeze(x, self._integers(0)), 0, 3, 1, 2)

    def _from_image(self, x: Any) -> Any:
        return self._op.squeeze(self._moved(x, 0, 2, 3, 1), self._integers(0))

    def _biased(self, x: Any, place: str) -> Any:
        return self._op.add(x, self._constant(self._tensors[f"{place}.bias"].reshape(1, -1, 1, 1)))
