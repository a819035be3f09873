"""From a graph of TensorFlow around a network to a checked ONNX file, by tf2onnx."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx.checker import ValidationError

from sepcore.errors import ExportError
from sepcore.export.onnx_rewrites import embed_weights

# tf2onnx's own choice. Every operator that the graphs need is older, so runtimes many years old read the files.
_OPSET = 15
_KERNEL_AXES = 4  # of a convolution's kernel

Dimensions = Sequence[str | int]
"""Numbers, and names of the dimensions that may vary."""


def convert_graph(
    graph: Callable[[Any, Any], Mapping[str, Any]],
    network: Any,
    path: Path,
    *,
    inputs: Mapping[str, Dimensions],
    outputs: Mapping[str, Dimensions],
    metadata: Mapping[str, str],
    rearrange: Callable[[Any], object] = lambda model: None,
) -> None:
    """Convert a graph around a network and write it to ``path``, in float32.

    Args:
        graph: Called as ``graph(network, tensor)`` with a callable of the network's weights; returns tensors by name.
        network: A `keras.Model` with weights.
        path: The ``.onnx`` file.
        inputs: The one input's name and dimensions.
        outputs: Name and dimensions of every output, in the file's order.
        metadata: Properties of the file.
        rearrange: May change the model before it is written.

    Raises:
        ExportError: if ONNX has no operator for a part of the graph.
    """
    weights = [np.asarray(weight) for weight in (*network.trainable_variables, *network.non_trainable_variables)]
    num_trainable = len(network.trainable_variables)
    # Convolutions take their kernels from anywhere; tf2onnx recognizes an LSTM only with constants in it.
    kernels = [index for index, weight in enumerate(weights) if weight.ndim == _KERNEL_AXES]

    def converted(tensor: Any, *kernel_tensors: Any) -> Mapping[str, Any]:
        values: list[Any] = list(weights)
        for index, kernel in zip(kernels, kernel_tensors, strict=True):
            values[index] = kernel
        trainable, fixed = values[:num_trainable], values[num_trainable:]

        def with_weights(magnitudes: Any, *, training: bool) -> Any:
            return network.stateless_call(trainable, fixed, magnitudes, training=training)[0]

        return graph(with_weights, tensor)

    ((name, dimensions),) = inputs.items()
    shape = [None if isinstance(dimension, str) else dimension for dimension in dimensions]
    signature = [tf.TensorSpec(shape, tf.float32, name=name)]
    signature += [tf.TensorSpec(weights[index].shape, tf.float32, name=f"kernel_{index}") for index in kernels]
    function = tf.function(converted, input_signature=signature, autograph=False)
    model, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=_OPSET)

    embed_weights(model, {f"kernel_{index}": weights[index] for index in kernels})
    rearrange(model)
    _describe(model, {**inputs, **outputs}, list(outputs))
    onnx.helper.set_model_props(model, dict(metadata))
    try:
        onnx.checker.check_model(model)
    except ValidationError as error:
        raise ExportError(f"cannot be written as ONNX ({str(error).splitlines()[0]})", path=path.name) from error
    onnx.save(model, path)


def _describe(model: Any, dimensions: Mapping[str, Dimensions], outputs: list[str]) -> None:
    """Order the outputs and name the dimensions."""
    graph = model.graph
    ordered = sorted(graph.output, key=lambda output: outputs.index(output.name))
    for value in (*graph.input, *ordered):
        shape = value.type.tensor_type.shape
        del shape.dim[:]
        for dimension in dimensions[value.name]:
            key = "dim_param" if isinstance(dimension, str) else "dim_value"
            shape.dim.add(**{key: dimension})
    del graph.output[:]
    graph.output.extend(ordered)


def load_onnx(path: Path) -> Callable[..., list[Any]]:
    """An ONNX file in ONNX Runtime on the CPU: call it with the inputs by name, get the outputs in the file's order.

    Raises:
        ExportError: if ONNX Runtime cannot run the file.
    """
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as errors

    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except (errors.Fail, errors.InvalidGraph, errors.InvalidProtobuf, errors.NotImplemented) as error:
        raise ExportError(f"ONNX Runtime cannot run it ({str(error).splitlines()[0]})", path=path.name) from error
    return lambda **inputs: session.run(None, inputs)
