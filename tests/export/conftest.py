"""Small models on disk, as `locate_model` finds them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.engines.keras import KerasEngine
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.provider.resolve import LocalModel
from tests.models import randomize, small_config

MakeModel = Callable[..., LocalModel]


def random_network(config: ModelConfig, seed: int = 0) -> Any:
    """A config's network with a value of its own in every weight."""
    network = build_network(config)
    randomize(network, seed)
    network.compile(jit_compile=False)
    return network


def separated(config: ModelConfig, network: Any, waveform: np.ndarray) -> dict[str, np.ndarray]:
    """A waveform's stems by numpy around the Keras model; of nothing, nothing."""
    parts = list(KerasEngine(config, network).separate([waveform]))
    stems = np.concatenate([np.zeros((len(config.instruments), 0, config.num_channels), np.float32), *parts], axis=1)
    return dict(zip(config.instruments, stems, strict=True))


def noise(samples: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


# Nothing, one sample, less than a frame (512), no whole hops (128), two segments (64 frames) to the sample, and three.
LENGTHS = [0, 1, 511, 5000, 2 * 64 * 128 - 512, 20_001]


def check_stems(separate: Callable[[np.ndarray], dict[str, np.ndarray]], config: ModelConfig, network: Any) -> None:
    """A function gives the stems of the Keras model, of noise of any length and of silence."""
    for waveform in [
        *(noise(samples, config.num_channels) for samples in LENGTHS),
        0 * noise(9000, config.num_channels),
    ]:
        expected, stems = separated(config, network, waveform), separate(waveform)
        assert set(stems) == set(config.instruments)
        for name, stem in stems.items():
            assert stem.dtype == np.float32
            assert stem.shape == waveform.shape
            # 2e-6 is what was seen, with LSTMs.
            peak = np.abs(expected[name]).max(initial=0)
            np.testing.assert_allclose(stem, expected[name], rtol=0, atol=1e-5 * peak)


def kernels_of(graph: Any) -> list[Any]:
    """The constants of an ONNX graph that are a U-Net's convolution kernels."""
    return [weight for weight in graph.initializer if weight.dims[2:] in ([5, 5], [4, 4])]


VARIANTS = {
    "zeros": {},
    "average": {"mask_extension": "average", "separation_exponent": 1.5},
    "mono": {"n_channels": 1, "separation_exponent": 1},
    # As the -16kHz configs: more of the bins, here all but one; and a frame that is no power of two.
    "wide": {"F": 256, "mask_extension": "average"},
    "frame-of-768": {"frame_length": 768, "frame_step": 192, "instrument_list": ["vocals", "drums", "my guitar (é)"]},
}


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """``make_model(name, **keys)`` writes a small model with random weights."""

    def make(name: str = "small", *, seed: int = 0, **keys: Any) -> LocalModel:
        config = small_config(**keys)
        folder = tmp_path / "models" / name
        write_checkpoint(random_network(config, seed), folder, step=1)
        return LocalModel(name, config, folder)

    return make
