import errno
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from sepcore.errors import CheckpointError
from sepcore.networks import stored_tensors
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import read_checkpoint, write_checkpoint
from tests.models import SMALL_BLSTM, SMALL_SOFTMAX, SMALL_UNET, TINY, randomize, small_config
from tests.raised import raises
from tests.repository import ROOT

GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture
def written(tmp_path):
    """A two-stem network with weights of its own, and the folder of its checkpoint."""
    network = build_network(small_config())
    randomize(network)
    write_checkpoint(network, tmp_path / "model", step=7)
    return network, tmp_path / "model"


def rewrite(folder: Path, change) -> None:
    """Change a checkpoint's tensors (a dict) and write it again."""
    reader = tf.train.load_checkpoint(str(folder / "model"))
    tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    change(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model"), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )  # fmt: skip


@pytest.mark.parametrize("model", [SMALL_UNET, SMALL_SOFTMAX, SMALL_BLSTM])
def test_every_kind_of_network_reads_what_it_wrote(model, tmp_path):
    config = small_config(model=model, instrument_list=["a", "b", "c"])
    network = build_network(config)
    randomize(network)
    write_checkpoint(network, tmp_path / "model", step=7)
    again = build_network(config)
    assert read_checkpoint(again, tmp_path / "model") == 7
    for ours, theirs in zip(network.weights, again.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_u_nets_tensors_have_spleeters_names(written):
    stored = tf.train.load_checkpoint(str(written[1] / "model")).get_variable_to_shape_map()
    kinds = {name.split("/")[0] for name in stored}
    assert len(stored) == 2 * 74 + 1
    assert {"conv2d", "conv2d_13", "conv2d_transpose_11", "batch_normalization_23", "global_step"} <= kinds
    assert stored["batch_normalization_5/gamma"] == [7]  # the one that Spleeter builds and never uses


def test_a_recurrent_networks_tensors_have_the_names_and_shapes_of_spleeters_graph(tmp_path):
    spleeters = json.loads((GOLDEN / "blstm_variables.json").read_text())
    keys = {key: spleeters["config"][key] for key in ("instrument_list", "T", "F", "model")}
    write_checkpoint(build_network(small_config(**keys)), tmp_path / "model", step=0)
    stored = tf.train.load_checkpoint(str(tmp_path / "model")).get_variable_to_shape_map()
    del stored["global_step"]
    assert stored == spleeters["variables"]


def cudnn_lstm(x, kernel, recurrent_kernel, bias):
    """What CuDNN makes of the variables of `CuDNNLSTM`: it reads each gate's values one unit after the other."""
    units = len(recurrent_kernel)
    of_input = [gate.reshape(units, -1) for gate in np.split(kernel, 4, axis=1)]
    of_output = [gate.reshape(units, units) for gate in np.split(recurrent_kernel, 4, axis=1)]
    biases = bias.reshape(2, 4, units).sum(axis=0)
    output = cell = np.zeros(units)
    outputs = []
    for frame in x:
        sums = [w @ frame + r @ output + b for w, r, b in zip(of_input, of_output, biases, strict=True)]
        kept, forgotten, opened = (1 / (1 + np.exp(-sums[gate])) for gate in (0, 1, 3))
        cell = forgotten * cell + kept * np.tanh(sums[2])
        output = opened * np.tanh(cell)
        outputs.append(output)
    return np.array(outputs)


def test_the_tensors_of_a_blstm_give_its_estimates_as_cudnn_computes_them(tmp_path):
    network = build_network(small_config(model=SMALL_BLSTM, T=8, F=6))
    randomize(network)
    write_checkpoint(network, tmp_path / "model", step=0)
    stored = tf.train.load_checkpoint(str(tmp_path / "model"))
    magnitudes = np.random.default_rng(0).random((1, 8, 6, 2)).astype(np.float32)
    estimates = np.asarray(network(magnitudes))[0]
    assert estimates.any()
    for instrument in range(2):
        x = magnitudes[0].reshape(8, 12)
        for number in range(3 * instrument, 3 * instrument + 3):
            tail = f"_{number}" if number else ""
            directions = []
            for direction, step in (("forward", 1), ("backward", -1)):
                names = (
                    f"bidirectional{tail}/{direction}_cu_dnnlstm{tail}/{leaf}"
                    for leaf in ("kernel", "recurrent_kernel", "bias")
                )
                directions.append(cudnn_lstm(x[::step], *map(stored.get_tensor, names))[::step])
            x = np.concatenate(directions, axis=1)
        dense = f"time_distributed_{2 * instrument + 1}"
        x = x @ stored.get_tensor(f"{dense}/kernel") + stored.get_tensor(f"{dense}/bias")
        np.testing.assert_allclose(estimates[instrument].reshape(8, 12), np.maximum(x, 0), atol=1e-5)


def test_a_folder_without_a_whole_checkpoint_is_refused(written):
    (written[1] / "model.data-00000-of-00001").unlink()
    with raises(CheckpointError, "*.index", "*.data-*", path=written[1]):
        read_checkpoint(written[0], written[1])


@pytest.mark.parametrize(
    ("keys", "named", "hint"),
    [
        ({"instrument_list": ["a", "b", "c"]}, ["74 of 222", "(conv2d_14/kernel, ", "and 71 more)"], "instrument_list"),
        ({"instrument_list": ["a"]}, ["74 tensors", "and 71 more)"], "more instruments than instrument_list"),
        ({"n_channels": 1}, ["conv2d/kernel is (5, 5, 2, 2) instead of (5, 5, 1, 2)"], "n_channels"),
        ({"model": SMALL_BLSTM}, ["missing"], "model.type or instrument_list"),
    ],
)
def test_weights_of_another_model_are_refused_and_nothing_changes(written, keys, named, hint):
    other = build_network(small_config(**keys))
    before = other.get_weights()
    with raises(CheckpointError, *named, path=written[1] / "model", hint=hint):
        read_checkpoint(other, written[1])
    for old, new in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_missing_tensors_are_named(written):
    rewrite(written[1], lambda tensors: tensors.pop("conv2d_3/bias"))
    with raises(CheckpointError, "1 of 148", "(conv2d_3/bias)", path=written[1] / "model"):
        read_checkpoint(written[0], written[1])


def test_weights_that_are_not_finite_are_refused(written):
    def spoil(tensors):
        tensors["conv2d_3/bias"] = np.full_like(tensors["conv2d_3/bias"], np.nan)

    rewrite(written[1], spoil)
    with raises(CheckpointError, "conv2d_3/bias", "NaN", path=written[1] / "model"):
        read_checkpoint(written[0], written[1])


@pytest.mark.parametrize("file", ["model.index", "model.data-00000-of-00001"])
def test_a_truncated_file_is_damage_not_random_weights(written, file):
    path = written[1] / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with raises(CheckpointError, "damaged", path=written[1] / "model", hint="Fetch or train"):
        read_checkpoint(written[0], written[1])


def test_the_same_weights_give_the_same_bytes(written, tmp_path):
    write_checkpoint(written[0], tmp_path / "again", step=7)
    for file in written[1].iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name


def test_a_registered_network_finds_its_weights_again_however_many_layers_the_process_has_made(tmp_path):
    config = small_config(model=TINY)
    network = build_network(config)
    randomize(network)
    write_checkpoint(network, tmp_path / "model", step=3)
    keras.layers.Dense(1)  # takes a number
    again = build_network(config)
    assert read_checkpoint(again, tmp_path / "model") == 3
    for ours, theirs in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_disk_that_takes_no_more_is_told_as_such_and_leaves_the_old_checkpoint(written, monkeypatch):
    network, folder = written

    def full(prefix, tensors):
        prefix.with_name("model.index").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(stored_tensors, "write_tensor_bundle", full)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as refused:
        write_checkpoint(network, folder, step=8)
    assert refused.value.errno == errno.ENOSPC
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
