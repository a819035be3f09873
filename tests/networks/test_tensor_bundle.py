"""TensorFlow checkpoints without TensorFlow, which is the oracle."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sepcore.errors import CheckpointError
from sepcore.networks.tensor_bundle import TensorBundle, write_tensor_bundle
from tests.raised import raises

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
@example(tensors={"Gesäng/kernel": np.float32([1]), "音/kernel": np.float32([2]), "𝄞/kernel": np.float32([3])})
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


def test_tensors_of_bfloat16_are_read_as_float32(tmp_path):
    values = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    halves = {"kernel": tf.cast(values, tf.bfloat16), "empty": tf.zeros((0, 3), tf.bfloat16)}
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model"), tensor_names=[*halves], shape_and_slices=["", ""], tensors=[*halves.values()]
    )
    bundle = TensorBundle(tmp_path / "model")
    for name, value in halves.items():
        np.testing.assert_array_equal(bundle.read(name), tf.cast(value, tf.float32).numpy(), strict=True)


@pytest.mark.parametrize("start", [0, 128, 300])
def test_a_partitioned_variable_is_listed_but_not_read(start, tmp_path):
    part = f"600 2 {start},2:-"
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "model"),
        tensor_names=["bias", "parted"],
        shape_and_slices=["", part],
        tensors=[tf.constant([1.0]), tf.ones((2, 2))],
    )
    bundle = TensorBundle(tmp_path / "model")
    assert bundle.shapes == {"bias": (1,), "parted": (600, 2)}
    assert bundle.read("bias") == [1]
    with raises(CheckpointError, "parted", "parts", path=tmp_path / "model", hint="whole"):
        bundle.read("parted")


def test_a_text_is_listed_but_not_read(tmp_path):
    write_by_tensorflow(tmp_path / "model", {"graph": np.array(b"text"), "bias": np.float32([1])})
    bundle = TensorBundle(tmp_path / "model")
    assert bundle.read("bias") == [1]
    with raises(CheckpointError, "graph", "type 7", path=tmp_path / "model", hint="float32"):
        bundle.read("graph")
