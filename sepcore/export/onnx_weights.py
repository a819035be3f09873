"""Large weights kept out of the conversion to ONNX, and put into its result.

tf2onnx copies a graph with all its constants a few dozen times: with the weights of 2stems in it a conversion takes a
minute and 12 GB, without them 4 seconds and 1.3 GB. (BLSTMs cannot do without: 7 GB for two stems.)
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, helper, numpy_helper


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
