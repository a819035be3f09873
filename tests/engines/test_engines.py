import sys

import numpy as np
import pytest
import tensorflow as tf

from sepcore import load_config
from sepcore.engines import select
from sepcore.engines.base import Engine
from sepcore.engines.converted import convert_network_once
from sepcore.engines.keras import TensorFlowEngine
from sepcore.engines.openvino import OpenVinoEngine
from sepcore.engines.select import load_engine
from sepcore.errors import CheckpointError, ConfigError
from sepcore.networks.registry import build_network
from tests.models import (
    SMALL_BLSTM,
    SMALL_SOFTMAX,
    SMALL_UNET,
    TINY,
    convert_here,
    randomize,
    small_config,
    write_model,
)
from tests.raised import raises

pytestmark = pytest.mark.slow


def samples(config, segments):
    length = (segments * config.segment_frames - 1) * config.hop_length + config.frame_length
    return np.random.default_rng(0).uniform(-0.5, 0.5, (length, config.num_channels)).astype(np.float32)


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX, SMALL_BLSTM])
@pytest.mark.parametrize("keys", [{}, {"mask_extension": "average", "separation_exponent": 1, "n_channels": 1}])
def test_the_whole_graph_equals_numpy_around_the_network(model, keys):
    config = small_config(model=model, **keys)
    network = build_network(config)
    randomize(network)
    engine = TensorFlowEngine(config, network)
    for segments in (1, 3):
        block = samples(config, segments)
        stems = engine.separate_block(block)
        assert stems.shape == (2, *block.shape)
        # Not the same bits: two channels share one complex FFT, and a BLSTM amplifies what that rounds otherwise.
        np.testing.assert_allclose(stems, Engine.separate_block(engine, block), atol=5e-6 * np.abs(stems).max())


def test_an_unknown_engine_is_refused_with_the_known_ones(tmp_path):
    with raises(ConfigError, "engine", "'cuda'", hint="auto, openvino, tensorflow"):
        load_engine("cuda", small_config(), tmp_path)


def test_a_process_that_runs_tensorflow_stays_with_it_until_a_registered_network_is_converted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_model(tmp_path, model=TINY)
    assert isinstance(load_engine("auto", load_config(folder), folder / "model"), TensorFlowEngine)
    convert_here(folder)
    assert isinstance(load_engine("auto", load_config(folder), folder / "model"), OpenVinoEngine)
    assert isinstance(load_engine("tensorflow", load_config(folder), folder / "model"), TensorFlowEngine)


def test_a_gpu_that_tensorflow_cannot_use_does_not_count(tmp_path, monkeypatch, caplog):
    (tmp_path / "nvidia0").touch()
    monkeypatch.setattr(select, "_DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    folder = write_model(tmp_path)
    assert isinstance(load_engine("auto", load_config(folder), folder / "model"), OpenVinoEngine)
    assert "TensorFlow cannot use this machine's GPU" in caplog.text
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
    assert select.tensorflow_lists_gpu()
    with monkeypatch.context() as without:  # as the base is installed
        without.setitem(sys.modules, "tensorflow", None)
        assert not select.tensorflow_lists_gpu()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert not select.tensorflow_lists_gpu()


def test_a_network_that_openvino_cannot_run_is_refused_there_by_name(tmp_path):
    folder = write_model(tmp_path, model=TINY)
    with raises(ConfigError, "OpenVINO", "tests.tiny", path=folder / "model", hint="tensorflow"):
        load_engine("openvino", load_config(folder), folder / "model")


@pytest.mark.parametrize("damage", ["cut", "a byte", "no checksum"])
def test_a_damaged_file_of_a_network_is_made_anew(damage, tmp_path, caplog):
    folder = write_model(tmp_path)
    file = convert_here(folder)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "no checksum":
        file.with_suffix(".sha256").unlink()
    else:
        file.write_bytes(content if damage == "a byte" else content[: len(content) // 2])
    assert convert_network_once(load_config(folder), folder / "model") == file
    assert "is damaged and is converted again" in caplog.text
    caplog.clear()
    assert convert_network_once(load_config(folder), folder / "model") == file
    assert not caplog.text


def test_weights_that_do_not_fit_are_refused(tmp_path):
    folder = write_model(tmp_path)
    with raises(CheckpointError, "shape", path=folder / "model" / "model", hint="n_channels"):
        load_engine("auto", small_config(n_channels=1), folder / "model")


def test_half_precision_of_the_reference_stays_near(tmp_path):
    folder = write_model(tmp_path)
    config = load_config(folder)
    block = samples(config, 2)
    exact, near = (
        load_engine("tensorflow", config, folder / "model", precision=precision).separate_block(block)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(near - exact).max() < 0.05 * np.abs(exact).max()
