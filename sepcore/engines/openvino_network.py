"""Networks built in OpenVINO directly from a checkpoint's tensors: Spleeter's here, SCNet by its own module."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import Activation, BLSTMParams, SCNetParams, UNetParams
from sepcore.engines.openvino_graph import Array, GraphBuilder, reordered_gates
from sepcore.engines.openvino_scnet import build_scnet
from sepcore.networks.stored_tensors import layer_name

_EPSILON = 1e-3  # of batch norm
_LEAKY_SLOPE = 0.2
_KEEP = [1, 1]
_HALVE = [2, 2]
_NONE = [0, 0]
_TAPS = 3  # rows before upsampling that a kernel of 5 reaches, one to each side


def build_model(openvino: Any, config: ModelConfig, tensors: Mapping[str, Array]) -> Any:
    """A built-in network as an ``openvino.Model``, with its checkpoint's tensors (`stored_tensors`).

    One of Spleeter's turns magnitudes, float32 ``(1, channels, T, F)``, into estimates, ``(1, stems, channels, T, F)``:
    its convolutions want channels first. For SCNet see `build_scnet`. The caller decides how ``openvino`` is imported.

    Raises:
        ConfigError: SCNet's bands do not fit.
    """
    if isinstance(config.model.params, SCNetParams):
        return build_scnet(openvino, config, tensors)
    return _Spleeter(openvino, tensors).build(config)


class _Spleeter(GraphBuilder):
    def build(self, config: ModelConfig) -> Any:
        op, params = self._op, config.model.params
        shape = [1, config.num_channels, config.segment_frames, config.num_bins]
        magnitudes = op.parameter(shape, np.float32, name="magnitudes")
        indices = range(len(config.instruments))
        if isinstance(params, BLSTMParams):
            stems = [self._blstm(magnitudes, index, shape) for index in indices]
            return self._ov.Model([self._stacked(stems)], [magnitudes], "network")
        assert isinstance(params, UNetParams)
        stacked = self._stacked([self._unet(magnitudes, index, params) for index in indices])
        masks = op.softmax(stacked, 1) if config.model.type == "unet.softmax_unet" else op.sigmoid(stacked)
        mixture = op.unsqueeze(magnitudes, self._integers(1))
        return self._ov.Model([op.multiply(masks, mixture)], [magnitudes], "network")

    def _unet(self, x: Any, instrument: int, params: UNetParams) -> Any:
        """The logits of an instrument's mask; see `sepcore.networks.unet.UNet`."""
        levels = len(params.conv_n_filters)
        first_conv, first_norm = instrument * (levels + 1), instrument * 2 * levels
        skips: list[Any] = []
        for level in range(levels):
            if level:
                x = self._activated(self._normed(skips[-1], first_norm + level - 1), params.conv_activation)
            skips.append(self._convolution(x, layer_name("conv2d", first_conv + level), _HALVE, _KEEP))
        x = skips.pop()
        for level in range(levels):
            x = self._upsampled(x, layer_name("conv2d_transpose", instrument * levels + level))
            x = self._normed(self._activated(x, params.deconv_activation), first_norm + levels + level)
            if skips:
                x = self._op.concat([skips.pop(), x], 1)
        return self._convolution(x, layer_name("conv2d", first_conv + levels), _KEEP, _HALVE)

    def _convolution(self, x: Any, layer: str, strides: list[int], dilations: list[int]) -> Any:
        kernel = self._constant(_channels_first(self._tensors[f"{layer}/kernel"]).swapaxes(0, 1))
        convolved = self._op.convolution(x, kernel, strides, _NONE, _NONE, dilations, auto_pad="same_upper")
        return self._op.add(convolved, self._per_channel(self._tensors[f"{layer}/bias"]))

    def _upsampled(self, x: Any, layer: str) -> Any:
        """A transposed convolution of stride 2; TensorFlow's ``same`` cuts one row less before than after."""
        op, kernel, bias = self._op, self._tensors[f"{layer}/kernel"], self._tensors[f"{layer}/bias"]
        weights = _channels_first(kernel).swapaxes(0, 1)
        if weights.shape[1] == 1:
            phases = op.convolution(x, self._constant(phase_kernels(weights, 1, 1)), _KEEP, _KEEP, _KEEP, _KEEP)
            return op.add(op.depth_to_space(phases, "blocks_first", 2), self._per_channel(bias))
        sides = self._integers(*(2 * side for side in list(x.get_output_shape(0))[2:]))
        made = op.convolution_backprop_data(x, self._constant(weights), _HALVE, sides, [1, 1], [2, 2], _KEEP)
        return op.add(made, self._per_channel(bias))

    def _normed(self, x: Any, number: int) -> Any:
        layer = layer_name("batch_normalization", number)
        parts = ("gamma", "beta", "moving_mean", "moving_variance")
        gamma, beta, mean, variance = (self._tensors[f"{layer}/{part}"] for part in parts)
        scale = gamma / np.sqrt(variance + np.float32(_EPSILON))
        scaled = self._op.multiply(x, self._per_channel(scale))
        return self._op.add(scaled, self._per_channel(beta - mean * scale))

    def _activated(self, x: Any, name: Activation) -> Any:
        if name == "LeakyReLU":
            return self._op.prelu(x, self._constant(np.array([_LEAKY_SLOPE], np.float32)))
        return self._op.elu(x, 1.0) if name == "ELU" else self._op.relu(x)

    def _blstm(self, magnitudes: Any, instrument: int, shape: list[int]) -> Any:
        """The estimate of an instrument; see `sepcore.networks.blstm.BLSTM`."""
        op = self._op
        _, channels, frames, bins = shape
        last = self._moved(magnitudes, 0, 2, 3, 1)
        x = self._reshaped(last, 1, frames, bins * channels)
        for level in range(3):
            x = self._lstm(x, 3 * instrument + level, frames)
        layer = layer_name("time_distributed", instrument)
        x = op.matmul(x, self._constant(self._tensors[f"{layer}/kernel"]), transpose_a=False, transpose_b=False)
        x = op.relu(op.add(x, self._constant(self._tensors[f"{layer}/bias"])))
        last = self._reshaped(x, 1, frames, bins, channels)
        return self._moved(last, 0, 3, 1, 2)

    def _lstm(self, x: Any, number: int, frames: int) -> Any:
        name = layer_name("bidirectional", number)
        cells = [f"{name}/{way}_{layer_name('cu_dnnlstm', number)}" for way in ("forward", "backward")]
        kernel, recurrent = (
            np.stack([_gates_first(self._tensors[f"{cell}/{part}"]) for cell in cells])
            for part in ("kernel", "recurrent_kernel")
        )
        bias = np.stack([reordered_gates(self._tensors[f"{cell}/bias"].reshape(2, -1).sum(axis=0)) for cell in cells])
        units = recurrent.shape[2]
        outputs = self._moved(self._bidirectional(x, (kernel, recurrent, bias), units), 0, 2, 1, 3)
        return self._reshaped(outputs, 1, frames, 2 * units)

    def _stacked(self, stems: list[Any]) -> Any:
        return self._op.concat([self._op.unsqueeze(stem, self._integers(1)) for stem in stems], 1)

    def _per_channel(self, value: Array) -> Any:
        return self._constant(value.reshape(1, -1, 1, 1))


def phase_kernels(weights: Array, top: int, left: int) -> Array:
    """A transposed convolution of stride 2 to one channel as a convolution to four: even and odd rows times columns.

    Runtimes compute that several times as fast. The ``weights``, ``(inputs, 1, height, width)``, reach one input row
    and column to each side; the transposed convolution cuts off ``top`` rows and ``left`` columns. The result,
    ``(4, inputs, 3, 3)``, is for padding of 1 and depth-to-space by blocks.
    """
    inputs, _, height, width = weights.shape
    kernels = np.zeros((2, 2, inputs, _TAPS, _TAPS), np.float32)
    # Output row 2 m + phase takes input row m + tap - 1 by the kernel's row 2 (1 - tap) + phase + top.
    for phase_row, phase_column, tap_row, tap_column in np.ndindex(2, 2, _TAPS, _TAPS):
        row, column = 2 * (1 - tap_row) + phase_row + top, 2 * (1 - tap_column) + phase_column + left
        if 0 <= row < height and 0 <= column < width:
            kernels[phase_row, phase_column, :, tap_row, tap_column] = weights[:, 0, row, column]
    return kernels.reshape(4, inputs, _TAPS, _TAPS)


def _channels_first(kernel: Array) -> Array:
    """``(height, width, inputs, outputs)`` to ``(inputs, outputs, height, width)``."""
    # In two steps, which take half as long as one.
    height, width, inputs, outputs = kernel.shape
    turned = np.ascontiguousarray(kernel.reshape(height * width, inputs * outputs).T)
    return turned.reshape(inputs, outputs, height, width)


def _gates_first(kernel: Array) -> Array:
    """A CuDNN kernel ``(inputs, 4 units)``, whose gates are stored transposed, in OpenVINO's ``(4 units, inputs)``."""
    inputs, width = kernel.shape
    units = width // 4
    gates = [gate.reshape(units, inputs) for gate in np.split(kernel, 4, axis=1)]
    return reordered_gates(np.concatenate(gates))
