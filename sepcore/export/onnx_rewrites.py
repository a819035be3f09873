"""Changes to a converted ONNX model that make it smaller or faster and leave what it computes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, helper, numpy_helper

from sepcore.engines.openvino_network import phase_kernels

_STRIDE = 2
_TAPS = 3  # of the picture before upsampling that a kernel of 4 or 5 reaches, one to each side


def embed_weights(model: Any, weights: dict[str, NDArray[Any]]) -> None:
    """Turn inputs of an ``onnx.ModelProto``, in place, into constants with these ``weights``, by the inputs' names.

    tf2onnx copies a graph with all its constants a few dozen times: with the weights of 2stems in it a conversion takes
    a minute and 12 GB, without them 4 seconds and 1.3 GB. (BLSTMs cannot do without: 7 GB for two stems.)

    Where the graph transposes a weight before it uses it, the transposed weight is the constant; a loop takes it from
    outside instead of carrying it from turn to turn.
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
        if node.op_type == "Transpose" and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]].transpose(helper.get_node_attr_value(node, "perm"))
    _keep(graph.node, lambda node: not (node.op_type == "Transpose" and node.input[0] in values))


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


def rearrange_upsampling(model: Any) -> int:
    """Write each transposed convolution of stride 2 to one channel as a convolution to four, and depth-to-space.

    Gives the same numbers faster, see `phase_kernels`; layers of 16 filters and more gained nothing or lost. Changes an
    ``onnx.ModelProto`` in place and returns how many layers were rearranged.
    """
    graph = model.graph
    constants = {constant.name: constant for constant in graph.initializer}
    nodes, count = [], 0
    for node in graph.node:
        kernel = constants.get(node.input[1]) if node.op_type == "ConvTranspose" else None
        weights = numpy_helper.to_array(kernel) if kernel is not None else None
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        pads = list(attributes.get("pads", [0, 0, 0, 0]))
        if weights is None or weights.shape[1] != 1 or not _doubles(attributes, pads, weights):
            nodes.append(node)
            continue
        name = f"{node.output[0]}_phases"
        graph.initializer.append(numpy_helper.from_array(phase_kernels(weights, *pads[:2]), f"{name}_kernel"))
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


def _doubles(attributes: dict[str, Any], pads: list[int], weights: NDArray[np.float32]) -> bool:
    """Whether a layer's output is twice its input, from taps next to it only."""
    top, left, bottom, right = pads
    height, width = weights.shape[2:]
    return (
        attributes.get("group", 1) == 1
        and list(attributes.get("dilations", [1, 1])) == [1, 1]
        and not attributes.keys() & {"output_padding", "output_shape"}
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        and list(attributes.get("strides", [1, 1])) == [_STRIDE, _STRIDE]
        and (height - top - bottom, width - left - right) == (_STRIDE, _STRIDE)
        and max(top, left) <= 2
        and max(height - 1 - top, width - 1 - left) <= _TAPS
    )
