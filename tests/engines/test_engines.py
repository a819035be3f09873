import numpy as np
import pytest

from sepcore.engines.base import Engine
from sepcore.engines.select import load_engine
from sepcore.engines.tensorflow import TensorFlowEngine
from sepcore.errors import ConfigError
from sepcore.networks.registry import build_network
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, randomise, small_config


def samples(config, segments):
    length = (segments * config.segment_frames - 1) * config.hop_length + config.frame_length
    return np.random.default_rng(0).uniform(-0.5, 0.5, (length, config.num_channels)).astype(np.float32)


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX, SMALL_BLSTM])
@pytest.mark.parametrize("keys", [{}, {"mask_extension": "average", "separation_exponent": 1, "n_channels": 1}])
def test_the_whole_graph_equals_numpy_around_the_network(model, keys):
    config = small_config(model=model, **keys)
    network = build_network(config)
    randomise(network)
    engine = TensorFlowEngine(config, network)
    for segments in (1, 3):
        block = samples(config, segments)
        stems = engine.separate_block(block)
        assert stems.shape == (2, *block.shape)
        np.testing.assert_allclose(stems, Engine.separate_block(engine, block), atol=1e-6 * np.abs(stems).max() + 1e-7)


def test_an_unknown_engine_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match="engine is 'cuda'; expected one of auto, tensorflow"):
        load_engine("cuda", small_config(), tmp_path)
