import shutil

import keras
import numpy as np
import pytest
from keras import ops

from sepcore.config.load import load_config
from sepcore.config.network import NETWORK_DOMAINS, NETWORK_PARAMS, StrictModel
from sepcore.errors import ConfigError, TrainingError
from sepcore.networks import registry
from sepcore.networks.registry import build_network, register_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint, write_checkpoint
from sepcore.provider.resolve import locate_model
from sepcore.training.initial_weights import initial_fingerprint, transfer_weights
from tests import models
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY_COMPLEX, small_config
from tests.networks.scnet_cases import scnet_config
from tests.raised import raises
from tests.training.apart import write_model

pytestmark = pytest.mark.slow

FOUR = ["drums", "vocals", "bass", "other"]


def arrays(layer):
    return [np.asarray(variable) for variable in layer.weights]


def part(network, index):
    """The weights of the instrument of that number."""
    return arrays(network.layers[1 + index])


def equal(ours, theirs):
    return all(np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_BLSTM], ids=["unet", "blstm"])
def test_the_instruments_that_both_have_are_taken_over_and_the_rest_stays(model, tmp_path):
    other = write_model(tmp_path, model=model)
    config = small_config(model=model, instrument_list=FOUR, T=128, chunk_duration=4)
    network = build_network(config)
    before = [part(network, index) for index in range(4)]
    lines = transfer_weights(network, config, str(tmp_path))
    assert lines == [f"vocals: weights of {tmp_path}", "drums, bass, other: fresh weights"]
    assert equal(part(network, 1), part(other, 0))
    assert [equal(part(network, index), before[index]) for index in range(4)] == [True, False, True, True]


def test_a_model_with_all_instruments_is_taken_over_whole(tmp_path):
    other = write_model(tmp_path)
    network = build_network(small_config())
    assert transfer_weights(network, small_config(), str(tmp_path)) == [f"vocals, accompaniment: weights of {tmp_path}"]
    assert equal(arrays(network), arrays(other))


@pytest.mark.parametrize("others", [["vocals", "accompaniment"], FOUR], ids=["all", "some"])
def test_weights_that_were_replaced_since_the_run_was_named_by_them_are_refused(others, tmp_path):
    write_model(tmp_path)
    expected, config = initial_fingerprint(locate_model(tmp_path)), small_config(instrument_list=others)
    assert transfer_weights(build_network(config), config, str(tmp_path), expected=expected)
    write_checkpoint(build_network(small_config()), tmp_path / "model", step=0)
    with raises(TrainingError, f"init_from ({tmp_path})", path=tmp_path / "model"):
        transfer_weights(build_network(config), config, str(tmp_path), expected=expected)


def test_sigmoid_and_softmax_u_nets_may_be_exchanged(tmp_path):
    other = write_model(tmp_path, model=SMALL_SOFTMAX)
    config = small_config(model=SMALL_SOFTMAX | {"type": "unet.unet"})
    network = build_network(config)
    transfer_weights(network, config, str(tmp_path))
    assert equal(part(network, 0), part(other, 0))


@pytest.mark.parametrize(
    ("keys", "named", "fix"),
    [
        ({"model": SMALL_BLSTM}, ["model.type is unet.unet", "blstm.blstm"], "model.type to unet.unet"),
        (
            {"model": {"type": "unet.unet", "params": {"conv_n_filters": [2, 3, 4, 5, 6, 8]}}},
            ["model.params.conv_n_filters is [2, 3, 4, 5, 6, 7]", "[2, 3, 4, 5, 6, 8]"],
            "model.params.conv_n_filters to [2, 3, 4, 5, 6, 7]",
        ),
        ({"F": 128}, ["F is 64", "is 128"], "F to 64"),
        ({"n_channels": 1}, ["n_channels is 2", "is 1"], "n_channels to 2"),
        ({"sample_rate": 16000}, ["sample_rate is 8000", "is 16000"], "sample_rate to 8000"),
        ({"frame_step": 64}, ["frame_step is 128", "is 64"], "frame_step to 128"),
        ({"instrument_list": ["drums", "bass"]}, ["vocals, accompaniment", "instrument_list (drums, bass)"], ""),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_model_whose_weights_mean_something_else_is_refused(keys, named, fix, tmp_path):
    write_model(tmp_path)
    config = small_config(**keys)
    network = build_network(config)
    before = arrays(network)
    with raises(ConfigError, f"init_from is {tmp_path}", *named, hint=fix) as caught:
        transfer_weights(network, config, str(tmp_path))
    assert "init_from" in caught.value.hint
    assert "\n" not in str(caught.value)
    assert equal(arrays(network), before)


class _NoParams(StrictModel):
    """Nothing to set."""


@pytest.fixture
def own_network(monkeypatch):
    """The config of a registered network whose stems share their layers."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
    monkeypatch.delitem(NETWORK_PARAMS, "mine.dense", raising=False)

    def build(inputs, config):
        masks = [keras.layers.Dense(2, name=f"{name}_mask")(inputs) for name in config.instruments]
        return ops.stack(masks, axis=1) * inputs[:, None]

    register_network("mine.dense", build, _NoParams)
    yield {"type": "mine.dense", "params": {}}
    NETWORK_PARAMS.pop("mine.dense")


def test_a_registered_network_is_taken_over_whole(own_network, tmp_path):
    other = write_model(tmp_path, model=own_network)
    network = build_network(small_config(model=own_network))
    transfer_weights(network, small_config(model=own_network), str(tmp_path))
    assert equal(arrays(network), arrays(other))


def test_a_registered_network_of_other_instruments_is_refused(own_network, tmp_path):
    write_model(tmp_path, model=own_network)
    config = small_config(model=own_network, instrument_list=FOUR)
    named = ("instrument_list is ['vocals', 'accompaniment']", str(FOUR), "mine.dense")
    with raises(ConfigError, f"init_from is {tmp_path}", *named, hint="init_from"):
        transfer_weights(build_network(config), config, str(tmp_path))


@pytest.fixture
def joint_network(monkeypatch):
    """A complex network whose stems share a layer, and come out of one."""
    monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))

    def build(inputs, config):
        stems = keras.layers.Dense(len(config.instruments) * 4, name="stems")(
            keras.layers.Dense(3, name="body")(inputs)
        )
        shape = (config.segment_frames, config.num_bins, len(config.instruments), 4)
        return ops.moveaxis(ops.reshape(stems, (-1, *shape)), -2, 1)

    register_network("mine.joint", build, _NoParams, domain="complex")
    yield {"type": "mine.joint", "params": {}}
    NETWORK_PARAMS.pop("mine.joint")
    NETWORK_DOMAINS.pop("mine.joint")


def test_a_complex_network_of_the_same_stems_is_taken_over_whole(joint_network, tmp_path):
    other = write_model(tmp_path, model=joint_network)
    config = small_config(model=joint_network)
    network = build_network(config)
    assert transfer_weights(network, config, str(tmp_path)) == [f"vocals, accompaniment: weights of {tmp_path}"]
    assert equal(arrays(network), arrays(other))


def test_a_complex_network_of_other_stems_takes_the_tensors_that_fit(joint_network, tmp_path):
    other = write_model(tmp_path, model=joint_network)
    config = small_config(model=joint_network, instrument_list=FOUR, T=32)
    network = build_network(config)
    before = arrays(network.get_layer("stems"))
    lines = transfer_weights(network, config, str(tmp_path))
    assert lines == [f"2 of 4 tensors: weights of {tmp_path}", "stems/kernel, stems/bias: fresh weights"]
    assert equal(arrays(network.get_layer("body")), arrays(other.get_layer("body")))
    assert equal(arrays(network.get_layer("stems")), before)


def test_an_scnet_of_other_stems_starts_from_what_does_not_depend_on_them(tmp_path):
    params = {"dims": [4, 4, 4], "num_dplayer": 2}
    two, four = (scnet_config(params, stems=stems, model_dir=str(tmp_path / "model")) for stems in (2, 4))
    for theirs, ours in ((two, four), (four, two)):
        (tmp_path / "config.json").write_text(theirs.to_json(), "utf-8")
        network, other = build_network(ours), build_network(theirs.model_copy(update={"random_seed": 9}))
        write_checkpoint(other, tmp_path / "model", step=3)
        lines = transfer_weights(network, ours, str(tmp_path / "config.json"))
        assert any("convtrs" in line for line in lines)
        taken = [np.array_equal(one, another) for one, another in zip(arrays(network), arrays(other), strict=True)]
        assert 0 < taken.count(False) <= 6


def test_a_complex_network_of_as_many_other_stems_says_what_they_start_as(joint_network, tmp_path):
    other = write_model(tmp_path, model=joint_network)
    config = small_config(model=joint_network, instrument_list=["vocals", "drums"])
    network = build_network(config)
    lines = transfer_weights(network, config, str(tmp_path))
    assert lines == [f"4 of 4 tensors: weights of {tmp_path}", "vocals, drums start as its vocals, accompaniment"]
    assert equal(arrays(network), arrays(other))


@pytest.mark.parametrize(
    "keys", [{"stft_window": "rectangular"}, {"stft_normalized": True}], ids=lambda keys: next(iter(keys))
)
def test_a_complex_network_of_another_stft_is_refused(keys, tmp_path):
    write_model(tmp_path, model=TINY_COMPLEX)
    ((key, value),) = keys.items()
    config = small_config(model=TINY_COMPLEX, **keys)
    with raises(ConfigError, f"init_from is {tmp_path}", key, str(value), hint=key):
        transfer_weights(build_network(config), config, str(tmp_path))


@pytest.mark.shared
def test_four_stems_start_from_the_published_vocals(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_HOST", str(shared / "models"))
    monkeypatch.setenv("MODEL_PATH", str(tmp_path))
    config = load_config("4stems")
    network = build_network(config)
    lines = transfer_weights(network, config, "2stems")
    assert lines == [
        "vocals: weights of 2stems",
        "drums, bass, other: fresh weights",
        "conv_activation is LeakyReLU in 2stems and ELU here: its weights are a start, not yet a model",
        "deconv_activation is ReLU in 2stems and ELU here: its weights are a start, not yet a model",
    ]
    published = locate_model("2stems")
    two = build_network(published.config)
    read_checkpoint(two, published.folder)
    assert equal(part(network, config.instruments.index("vocals")), part(two, 0))


def test_initial_weights_are_known_by_their_content_and_not_by_their_place(tmp_path):
    for name, seed in (("one", 0), ("other", 1)):
        models.write_model(tmp_path / name, seed)
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    one, copy, other = (initial_fingerprint(locate_model(tmp_path / name)) for name in ("one", "copy", "other"))
    assert one == copy != other
