import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sepcore.export.onnx_rewrites import rearrange_upsampling


def transposed(kernel, pads, *, channels=1, bias=True, stride=2, **attributes):
    """A model of one transposed convolution from three channels, with random weights."""
    rng = np.random.default_rng(0)
    constants = [numpy_helper.from_array(rng.standard_normal((3, channels, *kernel)).astype(np.float32), "kernel")]
    if bias:
        constants.append(numpy_helper.from_array(rng.standard_normal(channels).astype(np.float32), "bias"))
    names = ["picture", *(constant.name for constant in constants)]
    attributes |= {"kernel_shape": list(kernel), "pads": pads, "strides": [stride, stride]}
    node = helper.make_node("ConvTranspose", names, ["large"], **attributes)
    value = helper.make_tensor_value_info
    small, large = ([1, size, None, None] for size in (3, channels))
    graph = helper.make_graph(
        [node],
        "graph",
        [value("picture", TensorProto.FLOAT, small)],
        [value("large", TensorProto.FLOAT, large)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def run(model):
    picture = np.random.default_rng(1).standard_normal((1, 3, 7, 9)).astype(np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": picture})[0]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "pads"),
    [
        ((5, 5), [1, 1, 2, 2]),
        ((5, 5), [2, 1, 1, 2]),
        ((4, 4), [1, 1, 1, 1]),
        ((3, 5), [0, 2, 1, 1]),
        ((2, 2), [0, 0, 0, 0]),
    ],
)
def test_a_rearranged_layer_gives_the_same_picture(kernel, pads, bias):
    model = transposed(kernel, pads, bias=bias)
    before = run(model)
    assert before.shape == (1, 1, 14, 18)
    assert rearrange_upsampling(model) == 1
    assert [node.op_type for node in model.graph.node] == ["Conv", "DepthToSpace"]
    np.testing.assert_allclose(run(model), before, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        transposed((5, 5), [1, 1, 2, 2], channels=2),
        transposed((5, 5), [1, 1, 1, 1]),
        transposed((7, 7), [2, 2, 3, 3]),
        transposed((5, 5), [1, 1, 2, 2], stride=1),
        transposed((3, 3), [1, 1, 1, 1], output_padding=[1, 1]),
        transposed((3, 3), [1, 1, 2, 2], dilations=[2, 2]),
    ],
    ids=["two filters", "another size", "a wide kernel", "no stride", "output padding", "dilated"],
)
def test_any_other_layer_stays_as_it_is(model):
    before = model.SerializeToString()
    assert rearrange_upsampling(model) == 0
    assert model.SerializeToString() == before
