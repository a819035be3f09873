import json

import numpy as np
import onnx
import onnxruntime
import pytest

from sepcore.export.onnx_network import convert_network
from tests.export.conftest import random_network
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY, small_config

pytestmark = pytest.mark.slow


def magnitudes(config, segments):
    shape = (segments, config.segment_frames, config.num_bins, config.num_channels)
    return np.random.default_rng(0).exponential(3, shape).astype(np.float32)


@pytest.mark.parametrize("model", [TINY, SMALL_UNET, SMALL_SOFTMAX, SMALL_BLSTM])
@pytest.mark.parametrize("keys", [{}, {"n_channels": 1, "instrument_list": ["a", "b", "c"], "batch_statistics": False}])
def test_its_estimates_are_the_keras_models_for_any_number_of_segments(model, keys, tmp_path):
    config = small_config(model=model, **keys)
    network = random_network(config)
    convert_network("small", config, network, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    for segments in (1, 3):
        x = magnitudes(config, segments)
        expected = np.asarray(network(x, training=False))
        (estimates,) = session.run(["estimates"], {"magnitudes": x})
        np.testing.assert_allclose(estimates, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_live_batch_statistics_and_dropout_are_those_of_separation(tmp_path):
    config = small_config(model=SMALL_UNET, batch_statistics=True, dropout=0.5)
    network = random_network(config)
    convert_network("small", config, network, tmp_path / "network.onnx")
    x = magnitudes(config, 1)
    (estimates,) = onnxruntime.InferenceSession(tmp_path / "network.onnx").run(None, {"magnitudes": x})
    np.testing.assert_allclose(estimates, network(x, training=False), atol=2e-6 * x.max())


def test_an_lstm_is_one_operator(tmp_path):
    config = small_config(model=SMALL_BLSTM)
    convert_network("small", config, random_network(config), tmp_path / "network.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "network.onnx").graph.node]
    # Of two instruments three bidirectional ones each: one operator for both directions, or one for each.
    assert operators.count("LSTM") in (6, 12)
    assert "Loop" not in operators


def test_its_input_output_and_properties_are_described(tmp_path):
    config = small_config(model=TINY)
    convert_network("small", config, random_network(config), tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx")
    (given,), (got,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("magnitudes", ["segments", 64, 64, 2])
    assert (got.name, got.shape) == ("estimates", ["segments", 2, 64, 64, 2])
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["instruments"]) == ["vocals", "accompaniment"]
