import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from sepcore.config.network import NETWORK_DOMAINS, NETWORK_PARAMS
from sepcore.errors import CheckpointError, ConfigError
from sepcore.networks import registry
from sepcore.networks.dual_path import _inverse_transform, _transform
from sepcore.networks.registry import build_network, register_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint, write_checkpoint
from tests.golden import GOLDEN
from tests.models import TinyParams, randomize, small_config
from tests.networks.scnet_cases import distance_from_the_oracle, oracle_config, scnet_config, state_dict
from tests.raised import raises

CASES = {case["name"]: case for case in json.loads((GOLDEN / "scnet" / "cases.json").read_text())}
SMALL = {"dims": [4, 4, 4], "num_dplayer": 2}


@pytest.mark.parametrize("name", CASES)
def test_the_stems_are_those_of_its_pytorch_code(name, tmp_path):
    assert distance_from_the_oracle(CASES[name], GOLDEN / "scnet" / f"{name}.npz", tmp_path / "model") < 1e-4


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_has_the_names_and_shapes_of_pytorchs_state_dict(name, tmp_path):
    write_checkpoint(build_network(oracle_config(CASES[name])), tmp_path / "model", step=3)
    stored = tf.train.load_checkpoint(str(tmp_path / "model")).get_variable_to_shape_map()
    assert stored.pop("global_step") == []
    pytorchs = state_dict(GOLDEN / "scnet" / f"{name}.npz")
    assert stored == {tensor: list(value.shape) for tensor, value in pytorchs.items()}


def test_weights_come_back_from_a_checkpoint_bit_for_bit(tmp_path):
    config = scnet_config(SMALL)
    network, again = build_network(config), build_network(config)
    randomize(network)
    write_checkpoint(network, tmp_path / "model", step=7)
    assert read_checkpoint(again, tmp_path / "model") == 7
    for ours, theirs in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    write_checkpoint(again, tmp_path / "again", step=7)
    for file in (tmp_path / "model").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


class _Block(keras.layers.Layer):
    """Makes the weights of its layer at once, as a layer of a user's may."""

    def __init__(self, name):
        super().__init__()
        self.inner = keras.layers.Dense(4, name=name)
        self.inner.build((None, 4))

    def call(self, x):
        return self.inner(x)


def test_weights_that_would_share_a_name_in_a_checkpoint_are_refused(tmp_path):
    inputs = keras.Input((4,))
    same = keras.Model(inputs, _Block("proj")(_Block("proj")(inputs)))
    with pytest.raises(ValueError, match="two weights of the network are called 'proj/kernel'; give their layers"):
        write_checkpoint(same, tmp_path / "model", step=0)
    assert not (tmp_path / "model").exists()
    write_checkpoint(keras.Model(inputs, _Block("a")(_Block("b")(inputs))), tmp_path / "model", step=0)


def test_weights_beside_a_network_that_names_its_own_are_not_lost_silently(tmp_path):
    network = build_network(scnet_config(SMALL))
    beside = keras.Model(network.inputs, keras.layers.Dense(4)(network.outputs[0]))
    with pytest.raises(ValueError, match="has no name in a checkpoint"):
        write_checkpoint(beside, tmp_path / "model", step=0)


def test_a_checkpoint_of_more_layers_is_refused(tmp_path):
    write_checkpoint(build_network(scnet_config(SMALL | {"num_dplayer": 4})), tmp_path / "model", step=0)
    with raises(CheckpointError, "left over", "separation_net.dp_modules.2", path=tmp_path / "model" / "model"):
        read_checkpoint(build_network(scnet_config(SMALL)), tmp_path / "model")


@pytest.mark.parametrize(
    ("stems", "channels", "frames", "bins"), [(1, 1, 2, 17), (2, 2, 14, 65), (5, 1, 6, 129), (4, 2, 8, 33)]
)
def test_every_stem_has_the_shape_of_the_mixture(stems, channels, frames, bins):
    params = SMALL | {"dims": [2 * channels, 4, 4]}
    network = build_network(scnet_config(params, stems=stems, channels=channels, frames=frames, bins=bins))
    spectra = np.random.default_rng(0).standard_normal((3, frames, bins, 2 * channels)).astype(np.float32)
    estimates = np.asarray(network(spectra))
    assert estimates.shape == (3, stems, frames, bins, 2 * channels)
    assert len({estimate.tobytes() for estimate in estimates.swapaxes(0, 1)}) == stems
    np.testing.assert_allclose(estimates[1:2], network(spectra[1:2]), atol=1e-5)  # examples know nothing of each other


@pytest.mark.parametrize("standardize", [False, True])
def test_gradients_on_silence_are_finite(standardize):
    network = build_network(scnet_config(SMALL | {"standardize": standardize}))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(network(np.zeros((1, 8, 129, 4), np.float32)) - 1))
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(np.isfinite(np.asarray(gradient)).all() for gradient in gradients)
    assert standardize or any(np.asarray(gradient).any() for gradient in gradients)  # silence stays silence


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_standardized_spectra_differ_from_others_by_their_level_alone_in_any_precision(policy):
    keras.config.set_dtype_policy(policy)
    try:
        network = build_network(scnet_config(SMALL | {"standardize": True}))
    finally:
        keras.config.set_dtype_policy("float32")
    spectra = np.random.default_rng(0).standard_normal((2, 8, 129, 4)).astype(np.float32)
    stems = np.asarray(network(spectra))
    for shift, scale in ((50, 1), (0, 1e5), (0, 1e-2)):  # beyond float16, and finer than bfloat16 has it
        others = np.asarray(network(shift + scale * spectra))
        np.testing.assert_allclose((others - shift) / scale, stems, atol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize(("dims", "millions"), [([4, 16, 32, 64], 2.65), ([4, 32, 64, 128], 10.56)])
def test_the_sizes_of_its_author_have_as_many_weights_as_in_pytorch(dims, millions):
    network = build_network(scnet_config({"dims": dims}, stems=4, frames=2, bins=2049))
    assert network.count_params() / 1e6 == pytest.approx(millions, rel=1e-3)


def test_the_seed_decides_the_initial_weights_and_no_two_layers_share_them():
    first, same, *others = (
        build_network(scnet_config(SMALL, random_seed=seed)).get_weights() for seed in (1, 1, 2, 2**32 - 1)
    )
    for one, again in zip(first, same, strict=True):
        np.testing.assert_array_equal(one, again)
    drawn = [value for value in first if np.ptp(value) > 0]
    assert len({value.tobytes() for value in drawn}) == len(drawn)
    for other in others:
        assert not {value.tobytes() for value in drawn} & {value.tobytes() for value in other}


def test_initial_weights_spread_as_pytorchs_do(tmp_path):
    case = CASES["stereo"]
    write_checkpoint(build_network(oracle_config(case)), tmp_path / "model", step=0)
    ours = tf.train.load_checkpoint(str(tmp_path / "model"))
    for name, theirs in state_dict(GOLDEN / "scnet" / "stereo.npz").items():
        if theirs.size >= 64 and "bias_" not in name and "norm" not in name:  # the largest of many lies near the bound
            assert np.abs(ours.get_tensor(name)).max() == pytest.approx(np.abs(theirs).max(), rel=0.1), name


@pytest.mark.parametrize("frames", [2, 8, 30])
def test_the_transform_over_frames_is_that_of_a_fast_one(frames):
    rng = np.random.default_rng(0)
    cosines, sines = _transform(frames)
    x = rng.standard_normal(frames)
    np.testing.assert_allclose(cosines @ x + 1j * (sines @ x), np.fft.rfft(x, norm="ortho"), atol=1e-6)
    # Imaginary parts of the first and the last frequency count for nothing.
    spectrum = rng.standard_normal(frames // 2 + 1) + 1j * rng.standard_normal(frames // 2 + 1)
    cosines, sines = _inverse_transform(frames)
    np.testing.assert_allclose(
        cosines @ spectrum.real + sines @ spectrum.imag, np.fft.irfft(spectrum, norm="ortho"), atol=1e-6
    )


@pytest.mark.parametrize(
    ("params", "bins", "named", "hint"),
    [
        ({"band_SR": [0.6, 0.3, 0.1]}, 5, "do not fill three bands", "Raise F"),
        ({"band_kernel": [3, 5, 16]}, 129, "band_kernel is [3, 5, 16]", "Take [1, 4, 16]"),
    ],
)
def test_bands_that_would_lose_bins_are_refused(params, bins, named, hint):
    with raises(ConfigError, named, hint=hint):
        build_network(scnet_config(SMALL | params, bins=bins))


@pytest.mark.parametrize("shares", [[0.175, 0.392, 0.9], [0.175, 0.392, 0.1], [0.5, 0.5, 0.0009]])
def test_shares_of_bands_that_do_not_add_up_are_refused(shares):
    with raises(ConfigError, "band_SR", shares) as refused:
        scnet_config(SMALL | {"band_SR": shares})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "shares", [[0.175, 0.392, 0.433], [0.225, 0.372, 0.403], [1 / 3, 1 / 3, 1 / 3], [0.3, 0.3, 0.4]]
)
def test_shares_of_bands_add_up_but_for_their_rounding(shares):
    assert scnet_config(SMALL | {"band_SR": shares}).model.params.band_shares == tuple(shares)


def test_a_complex_network_of_ones_own_gets_real_and_imaginary_parts(monkeypatch):
    def build(inputs, config):
        return inputs[:, None] * np.arange(1, 3, dtype=np.float32).reshape(2, 1, 1, 1)

    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    for known in (NETWORK_PARAMS, NETWORK_DOMAINS):
        monkeypatch.setitem(known, "mine.complex", None)  # taken away after the test
    with pytest.raises(ValueError, match="domain is 'wave'"):
        register_network("mine.complex", build, TinyParams, domain="wave")
    register_network("mine.complex", build, TinyParams, domain="complex")
    config = small_config(model={"type": "mine.complex"}, frame_length=256, frame_step=64, T=5, F=129)
    spectra = np.random.default_rng(0).standard_normal((1, 5, 129, 4)).astype(np.float32)
    np.testing.assert_array_equal(build_network(config)(spectra), np.stack([spectra, 2 * spectra], axis=1))
