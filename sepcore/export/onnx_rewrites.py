"""Changes to a converted ONNX model that make it smaller or faster and leave what it computes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, helper, numpy_helper

from sepcore.engines.openvino_network import phase_kernels


def embed_weights(model: Any, weights: dict[str, NDArray[Any]]) -> None:
    """Turn inputs of a model into constants.

    Where TensorFlow's layout of a weight is changed before it is used, the changed weight is the constant; a loop takes
    it from outside instead of carrying it from turn to turn. So a runtime does neither again and again.

    Args:
        model: An ``onnx.ModelProto``, changed in place.
        weights: The values of inputs by their names.
    """
    values = dict(weights)
    graph = model.graph
    _keep(graph.input, lambda value: value.name not in weights)
    _simplify(graph, values)
    used = {name for subgraph in _graphs(graph) for node in subgraph.node for name in node.input}
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in values.items() if name in used
    )


def _simplify(graph: Any, values: dict[str, NDArray[Any]]) -> None:
    for node in graph.node:
        for body in _bodies(node):
            if node.op_type == "Loop":
                _take_from_outside(node, body, values)
            _simplify(body, values)
        if _is_transposed_weight(node, values):
            values[node.output[0]] = values[node.input[0]].transpose(helper.get_node_attr_value(node, "perm"))
    _keep(graph.node, lambda node: not _is_transposed_weight(node, values))


def _is_transposed_weight(node: Any, values: dict[str, NDArray[Any]]) -> bool:
    return node.op_type == "Transpose" and node.input[0] in values


def _take_from_outside(loop: Any, body: Any, values: dict[str, NDArray[Any]]) -> None:
    """Drop the weights from what a loop carries: (turns, condition, *carried) in, (*carried, *collected) out."""
    names = {}
    for index in reversed(range(len(loop.input) - 2)):
        inner = body.input[2 + index].name
        if loop.input[2 + index] in values and body.output[1 + index].name == inner:
            names[inner] = loop.input[2 + index]
            del loop.input[2 + index], loop.output[index], body.input[2 + index], body.output[1 + index]
    for graph in _graphs(body):
        for node in graph.node:
            renamed = [names.get(name, name) for name in node.input]
            del node.input[:]
            node.input.extend(renamed)


def _bodies(node: Any) -> list[Any]:
    return [attribute.g for attribute in node.attribute if attribute.type == AttributeProto.GRAPH]


def _graphs(graph: Any) -> Iterator[Any]:
    """A graph and all graphs in it."""
    yield graph
    for node in graph.node:
        for body in _bodies(node):
            yield from _graphs(body)


def _keep(items: Any, wanted: Any) -> None:
    for index in reversed(range(len(items))):
        if not wanted(items[index]):
            del items[index]


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
