import json

import onnx
import onnxruntime
import pytest

from sepcore.config.load import parse_config
from sepcore.export.onnx_conversion import load_onnx
from sepcore.export.onnx_waveform import convert_waveform
from tests.export.conftest import VARIANTS, check_stems, kernels_of, random_network
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY, small_config

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("model", "variant"),
    [
        *((TINY, variant) for variant in VARIANTS),
        *[(SMALL_UNET, "zeros"), (SMALL_UNET, "mono"), (SMALL_SOFTMAX, "frame-of-768"), (SMALL_BLSTM, "wide")],
    ],
)
def test_it_gives_the_stems_of_the_keras_model_at_any_length(model, variant, tmp_path):
    config = small_config(model=model, **VARIANTS[variant])
    network = random_network(config)
    convert_waveform("small", config, network, tmp_path / "model.onnx")
    run = load_onnx(tmp_path / "model.onnx")
    check_stems(lambda waveform: dict(zip(config.instruments, run(waveform=waveform), strict=True)), config, network)


@pytest.fixture(scope="module")
def unet_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("unet") / "model.onnx"
    config = small_config(model=SMALL_UNET)
    convert_waveform("small", config, random_network(config), path)
    return path


def test_its_input_is_the_waveform_and_its_outputs_are_the_instruments_in_their_order(unet_file):
    session = onnxruntime.InferenceSession(unet_file)
    described = [(value.name, value.shape, value.type) for value in (*session.get_inputs(), *session.get_outputs())]
    samples = ["samples", 2]
    assert described == [(name, samples, "tensor(float)") for name in ("waveform", "vocals", "accompaniment")]


def test_its_properties_are_the_config(unet_file):
    properties = onnxruntime.InferenceSession(unet_file).get_modelmeta().custom_metadata_map
    assert parse_config(properties.pop("config"), "model.onnx") == small_config(model=SMALL_UNET)
    assert json.loads(properties.pop("instruments")) == ["vocals", "accompaniment"]
    assert properties == {
        "model_name": "small",
        "network": "unet.unet",
        "sample_rate": "8000",
        "n_channels": "2",
        "frame_length": "512",
        "frame_step": "128",
        "T": "64",
        "F": "64",
        "separation_exponent": "2.0",
        "mask_extension": "zeros",
    }


def test_the_loop_over_the_segments_neither_carries_nor_transposes_weights(unet_file):
    graph = onnx.load(unet_file).graph
    (loop,) = (node for node in graph.node if node.op_type == "Loop")
    (body,) = (attribute.g for attribute in loop.attribute if attribute.name == "body")
    kernels = {weight.name for weight in kernels_of(graph)}
    assert len(kernels) == 2 * 13  # of two instruments; none twice
    convolutions = [node for node in body.node if node.op_type in ("Conv", "ConvTranspose")]
    assert {node.input[1] for node in convolutions} == kernels
    assert not kernels & set(loop.input)
