"""Transposed convolutions of a single filter, written as what runs them faster: exact, and for separation only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from sepcore.engines.openvino_network import phase_kernels

_STRIDE = 2
_TAPS = 3  # of the picture before upsampling that a kernel of 4 or 5 reaches, one to each side


def rearrange_upsampling(model: Any) -> int:
    """Write each transposed convolution of stride 2 to one channel as a convolution to four, and depth-to-space.

    See `phase_kernels`; layers of 16 filters and more gained nothing or lost.

    Args:
        model: An `onnx.ModelProto`; changed in place.

    Returns:
        How many layers were rearranged.
    """
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    nodes, count = [], 0
    for node in graph.node:
        kernel = constants.get(node.input[1]) if node.op_type == "ConvTranspose" else None
        weights = numpy_helper.to_array(kernel) if kernel is not None else None
        if weights is None or weights.shape[1] != 1 or not _doubles(node, weights):
            nodes.append(node)
            continue
        name = f"{node.output[0]}_phases"
        graph.initializer.append(numpy_helper.from_array(phase_kernels(weights, *_pads(node)[:2]), f"{name}_kernel"))
        inputs = [node.input[0], f"{name}_kernel"]
        if len(node.input) > 2:
            bias = np.repeat(numpy_helper.to_array(constants[node.input[2]]), _STRIDE**2)
            graph.initializer.append(numpy_helper.from_array(bias, f"{name}_bias"))
            inputs.append(f"{name}_bias")
        nodes.append(helper.make_node("Conv", inputs, [name], kernel_shape=[_TAPS, _TAPS], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("DepthToSpace", [name], [node.output[0]], blocksize=_STRIDE, mode="DCR"))
        count += 1
    del graph.node[:]
    graph.node.extend(nodes)
    return count


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _pads(node: Any) -> list[int]:
    """Rows and columns cut off: above, left, below, right."""
    return list(_attributes(node).get("pads", [0, 0, 0, 0]))


def _doubles(node: Any, weights: NDArray[np.float32]) -> bool:
    """Whether the output is twice the input, from taps next to it only."""
    attributes = _attributes(node)
    top, left, bottom, right = _pads(node)
    height, width = weights.shape[2:]
    plain = attributes.get("group", 1) == 1 and list(attributes.get("dilations", [1, 1])) == [1, 1]
    plain = plain and "output_padding" not in attributes and "output_shape" not in attributes
    plain = plain and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
    return (
        plain
        and list(attributes.get("strides", [1, 1])) == [_STRIDE, _STRIDE]
        and (height - top - bottom, width - left - right) == (_STRIDE, _STRIDE)
        and max(top, left) <= 2
        and max(height - 1 - top, width - 1 - left) <= _TAPS
    )
