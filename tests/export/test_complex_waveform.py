import keras
import numpy as np
import pytest
from keras import ops

from sepcore.config.model_config import ModelConfig
from sepcore.config.network import NETWORK_DOMAINS, NETWORK_PARAMS, NetworkConfig, StrictModel
from sepcore.engines.keras import KerasEngine
from sepcore.export.destination import open_destination
from sepcore.export.exporter import export_model
from sepcore.export.onnx_conversion import load_onnx
from sepcore.export.onnx_files import convert_waveform
from sepcore.export.waveform_model import run_saved_model, save_saved_model
from sepcore.networks import registry
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.provider.resolve import LocalModel
from tests.networks.scnet_cases import scnet_config

SHARES = (0.25, -0.5)


def shares(inputs, config):
    """Each stem a fixed share of the mixture, by a weight."""
    weight = keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", use_bias=False)
    return ops.stack([weight(inputs) * share for share in SHARES], axis=1)


def uneven(inputs, config):
    """Stems that depend on the place in the segment and on the neighboring bins."""
    ramp = np.linspace(0.5, 2, config.segment_frames, dtype=np.float32)[:, None, None]
    convolution = keras.layers.Conv2D(2 * inputs.shape[-1], 3, padding="same")
    first, second = ops.split(convolution(inputs) * ramp, 2, axis=-1)
    return ops.stack([first, second], axis=1)


@pytest.fixture(params=[shares, uneven])
def network_type(request, monkeypatch):
    name = f"test.{request.param.__name__}"
    monkeypatch.setitem(NETWORK_PARAMS, name, StrictModel)
    monkeypatch.setitem(NETWORK_DOMAINS, name, "complex")
    monkeypatch.setitem(registry._BUILDERS, name, request.param)
    return name


@pytest.mark.parametrize("form", ["savedmodel", "onnx"])
@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"stft_padding": "centered", "stft_window": "rectangular", "stft_normalized": True},
        {"stft_padding": "centered", "num_channels": 1, "num_bins": 20},
        {"mixture_consistency": True, "num_bins": 20},
    ],
)
def test_exported_graphs_give_the_engines_stems_at_every_length(network_type, keys, form, tmp_path):
    network = NetworkConfig.model_validate({"type": network_type})
    usual = {"frame_length": 64, "hop_length": 16, "segment_frames": 12, "num_bins": 33}
    config = ModelConfig(instruments=("a", "b"), model=network, **(usual | keys))
    built = registry.build_network(config)
    if form == "savedmodel":
        save_saved_model(config, built, tmp_path / "saved")
    else:
        convert_waveform("small", config, built, tmp_path / "model.onnx")
        run = load_onnx(tmp_path / "model.onnx")
    engine = KerasEngine(config, built)
    for length in (0, 1, 31, 33, 150, 191, 192, 193, 1000):
        waveform = np.random.default_rng(length).uniform(-1, 1, (length, config.num_channels)).astype(np.float32)
        expected = np.concatenate([np.zeros((2, 0, config.num_channels)), *engine.separate([waveform])], axis=1)
        if form == "savedmodel":
            by_name = run_saved_model(tmp_path / "saved", waveform)
            exported = [by_name[name] for name in config.instruments]
        else:
            exported = run(waveform=waveform)
        np.testing.assert_allclose(exported, expected, atol=1e-5)
        if network_type == "test.shares" and config.num_bins == 33:
            np.testing.assert_allclose(exported, np.multiply.outer(SHARES, waveform), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["savedmodel", "onnx"])
@pytest.mark.parametrize("standardize", [False, True])
def test_scnet_is_exported(form, standardize, tmp_path):
    keys = {"stft_padding": "centered", "stft_window": "rectangular", "stft_normalized": True}
    params = {"dims": [4, 4, 8], "num_dplayer": 2, "standardize": standardize}
    config = scnet_config(params, frames=16, bins=65, **keys)
    network = registry.build_network(config)
    write_checkpoint(network, tmp_path / "model", step=1)
    model = LocalModel("small", config, tmp_path / "model")
    exported = export_model(model, form, open_destination(tmp_path / "out"))
    assert exported.difference < 1e-4
