"""TensorFlow checkpoints without TensorFlow, which is the oracle."""

import struct
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sepcore.errors import CheckpointError
from sepcore.networks.tensor_bundle import TensorBundle, write_tensor_bundle

FILES = ("model.index", "model.data-00000-of-00001")
DTYPES = ["<f4", "<f8", "<i4", "<i8", "u1", "<i2", "?", "<f2"]
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
TENSORS = st.dictionaries(
    NAMES,
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    ),
    min_size=1,
    max_size=40,
)


def write_by_tensorflow(prefix, tensors):
    names = sorted(tensors, key=str.encode)
    values = [tf.constant(tensors[name]) for name in names]
    tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=names, shape_and_slices=[""] * len(names), tensors=values)


def small(seed=0):
    rng = np.random.default_rng(seed)
    return {f"conv2d_{i}/kernel": rng.standard_normal((3, 3, 2)).astype(np.float32) for i in range(40)}


@settings(max_examples=60, deadline=None)
@given(tensors=TENSORS)
def test_what_is_written_is_byte_for_byte_what_tensorflow_writes_and_is_read_back(tensors, tmp_path_factory):
    theirs, ours = (tmp_path_factory.mktemp(name) for name in ("theirs", "ours"))
    write_by_tensorflow(theirs / "model", tensors)
    write_tensor_bundle(ours / "model", tensors)
    for file in FILES:
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()
    bundle = TensorBundle(theirs / "model")
    assert bundle.shapes == {name: value.shape for name, value in tensors.items()}
    for name, value in tensors.items():
        np.testing.assert_array_equal(bundle.read(name), value, strict=True)


def test_an_index_of_many_blocks_is_tensorflows(tmp_path):
    tensors = {f"a_layer_with_a_rather_long_name_{i:05}/kernel": np.float32([i]) for i in range(9000)}
    write_by_tensorflow(tmp_path / "theirs", tensors)
    write_tensor_bundle(tmp_path / "ours", tensors)
    assert (tmp_path / "ours.index").read_bytes() == (tmp_path / "theirs.index").read_bytes()
    assert (tmp_path / "ours.index").stat().st_size > 262_144
    assert TensorBundle(tmp_path / "ours").read("a_layer_with_a_rather_long_name_08999/kernel") == [8999]


def test_tensors_in_several_files_are_read(tmp_path):
    tensors = small()
    halves = [dict(list(tensors.items())[:20]), dict(list(tensors.items())[20:])]
    for number, half in enumerate(halves):
        write_by_tensorflow(tmp_path / f"part{number}", half)
    prefixes = [str(tmp_path / f"part{number}") for number in range(2)]
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=prefixes, destination_prefix=str(tmp_path / "model"))
    assert len(list(tmp_path.glob("model.data-*-of-00002"))) == 2
    bundle = TensorBundle(tmp_path / "model")
    for name, value in tensors.items():
        np.testing.assert_array_equal(bundle.read(name), value)


def test_a_text_or_a_partitioned_variable_is_listed_but_not_read(tmp_path):
    write_by_tensorflow(tmp_path / "model", {"graph": np.array(b"text"), "bias": np.float32([1])})
    bundle = TensorBundle(tmp_path / "model")
    assert bundle.read("bias") == [1]
    with pytest.raises(CheckpointError):
        bundle.read("graph")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_changes_nothing(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    tensors = small()
    write_tensor_bundle(folder / "model", tensors)
    path = folder / data.draw(st.sampled_from(FILES))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        bundle = TensorBundle(folder / "model")
        read = {name: bundle.read(name) for name in bundle.shapes}
    except CheckpointError as refused:
        error = refused
    else:
        assert set(read) == set(tensors)
        for name, value in tensors.items():
            np.testing.assert_array_equal(read[name], value)
        return
    assert error.path == folder / "model"
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 47,
        b"\xff" * 40 + struct.pack("<Q", 0xDB4775248B80FB57),
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" * 4 + struct.pack("<Q", 0xDB4775248B80FB57),
        b"\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f".ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57),
    ],
)
def test_an_index_made_to_do_harm_is_refused_in_little_memory(content, tmp_path):
    (tmp_path / "model.index").write_bytes(content)
    (tmp_path / "model.data-00000-of-00001").write_bytes(b"")
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        TensorBundle(tmp_path / "model")
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_an_index_without_end_is_refused(tmp_path):
    with (tmp_path / "model.index").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(CheckpointError):
        TensorBundle(tmp_path / "model")
