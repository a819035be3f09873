import keras
import numpy as np
import pytest

from sepcore.config.network import NETWORK_PARAMS, StrictModel
from sepcore.errors import ConfigError
from sepcore.networks import registry
from sepcore.networks.instrument import he_uniform
from sepcore.networks.registry import build_network, register_network
from sepcore.networks.unet import UNet
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, randomize, small_config
from tests.raised import raises


def magnitudes(config, batch=2):
    shape = (batch, config.segment_frames, config.num_bins, config.num_channels)
    return np.random.default_rng(0).random(shape).astype(np.float32)


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX, SMALL_BLSTM])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_estimates_every_stem_in_the_shape_of_the_mixture(model, channels):
    config = small_config(model=model, n_channels=channels, instrument_list=["a", "b", "c"])
    network = build_network(config)
    estimates = np.asarray(network(magnitudes(config)))
    assert estimates.shape == (2, 3, 64, 64, channels)
    assert estimates.min() >= 0


def test_a_u_net_never_estimates_more_than_the_mixture():
    config = small_config()
    network = build_network(config)
    randomize(network)
    mixture = magnitudes(config)
    assert (np.asarray(network(mixture)) <= mixture[:, None]).all()


def test_a_softmax_u_nets_stems_add_up_to_the_mixture():
    config = small_config(model=SMALL_SOFTMAX, instrument_list=["a", "b", "c"])
    network = build_network(config)
    randomize(network)
    mixture = magnitudes(config)
    np.testing.assert_allclose(np.asarray(network(mixture)).sum(axis=1), mixture, rtol=1e-5)


def test_batch_norm_and_dropout_rest_in_training_as_in_spleeter():
    config = small_config()
    network = build_network(config)
    randomize(network)
    mixture = magnitudes(config)
    np.testing.assert_array_equal(network(mixture, training=True), network(mixture, training=False))


def test_the_full_network_has_spleeters_9_8_million_weights_per_instrument():
    assert build_network(small_config(model={"type": "unet.unet"})).count_params() == 2 * 9_826_759


def test_the_seed_decides_the_initial_weights():
    first, same, other, largest = (
        build_network(small_config(random_seed=seed)).get_weights()[0] for seed in (1, 1, 2, 2**32 - 1)
    )
    np.testing.assert_array_equal(first, same)
    assert (first != other).any()
    assert (first != largest).any()
    assert he_uniform(2**32 - 1).seed < 2**32  # JAX takes no more


def test_instruments_may_have_any_name():
    assert build_network(small_config(instrument_list=["lead vox", "гитара", "1/2 kit".replace("/", "-")])).outputs


def test_a_network_of_ones_own_is_found_by_its_name(monkeypatch):
    class TinyParams(StrictModel):
        gain: float = 1.0

    def build_tiny(inputs, config):
        return keras.ops.stack([config.model.params.gain * inputs for _ in config.instruments], axis=1)

    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.delitem(NETWORK_PARAMS, "mine.tiny", raising=False)
    register_network("mine.tiny", build_tiny, TinyParams)
    try:
        config = small_config(model={"type": "mine.tiny", "params": {"gain": 0.5}}, T=7)
        mixture = magnitudes(config)
        np.testing.assert_array_equal(build_network(config)(mixture)[:, 0], mixture / 2)
        with pytest.raises(ValueError, match="registered already"):
            register_network("mine.tiny", lambda inputs, config: inputs, TinyParams)
    finally:
        del NETWORK_PARAMS["mine.tiny"]


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX])
def test_live_batch_norm_uses_the_batchs_statistics_in_training_and_keeps_their_running_mean(model):
    network = build_network(small_config(model=model, batch_statistics=True, batch_norm_momentum=0.75))
    randomize(network)
    mixture = magnitudes(small_config())
    norms = [norm for net in network.layers if isinstance(net, UNet) for norm in net.down_norms]
    first, convolution = norms[0], next(net for net in network.layers if isinstance(net, UNet)).down[0]
    mean, before = np.asarray(convolution(mixture)).mean(axis=(0, 1, 2)), np.asarray(first.moving_mean)

    separating, training = np.asarray(network(mixture, training=False)), np.asarray(network(mixture, training=True))

    assert np.abs(training - separating).max() > 1e-3
    np.testing.assert_allclose(first.moving_mean, 0.75 * before + 0.25 * mean, rtol=1e-4, atol=1e-5)


def test_dropout_drops_in_training_alone():
    network = build_network(small_config(dropout=0.5))
    mixture = magnitudes(small_config())
    np.testing.assert_array_equal(network(mixture, training=False), network(mixture, training=False))
    assert (np.asarray(network(mixture, training=True)) != np.asarray(network(mixture, training=True))).any()


@pytest.mark.parametrize("keys", [{"batch_statistics": True}, {"dropout": 0.5}])
def test_a_blstm_has_neither_batch_norm_nor_dropout_to_switch_on(keys):
    with raises(ConfigError, next(iter(keys)), "blstm.blstm", hint="U-Net"):
        small_config(model=SMALL_BLSTM, **keys)
