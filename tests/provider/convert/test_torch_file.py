"""PyTorch's checkpoints without PyTorch; made by hand here, by PyTorch in test_torch_peer.py."""

import builtins
import codecs
import functools
import os
import pickle
import tracemalloc
import zipfile
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sepcore.errors import CheckpointError
from sepcore.provider.convert.torch_file import TorchFile
from sepcore.provider.convert.torch_pickle import TorchTensor
from sepcore.provider.convert.torch_writer import write_state_dict
from tests.provider.convert.checkpoints import (
    STORAGES,
    named,
    number,
    numbers,
    ordered,
    stored,
    tensor,
    text,
    whole,
    write,
)
from tests.raised import raises

VALUES = np.arange(24, dtype=np.float32)
ALL = {"weight": VALUES.reshape(2, 3, 4), "bias": VALUES[:3]}


def read(path):
    with TorchFile(path) as file:
        return file.read(file.content)


def read_or_refused(path):
    """The tensors of a dict in a checkpoint; None if it is refused, in one line that names it."""
    try:
        with TorchFile(path) as file:
            content = file.content if isinstance(file.content, dict) else {}
            return file.read({name: value for name, value in content.items() if isinstance(value, TorchTensor)})
    except CheckpointError as error:
        line = error
    assert (line.path, str(line).count("\n")) == (path, 0)
    return None


def of_one(path, *instructions, storages=(VALUES,), **keys):
    return write(path, whole(ordered({"a": b"".join(instructions)})), storages, **keys)


@settings(max_examples=40, deadline=None)
@given(
    tensors=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        arrays.arrays("<f4", arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)),
        max_size=12,
    )
)
def test_what_is_written_is_read_back_and_always_has_the_same_bytes(tensors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    for name in ("one", "two"):
        write_state_dict(folder / name, tensors)
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()
    found = read(folder / "one")
    assert list(found) == list(tensors)
    for name, values in tensors.items():
        np.testing.assert_array_equal(found[name], values, strict=True)


@pytest.mark.parametrize("kind", STORAGES)
def test_every_type_is_read_as_it_is(tmp_path, kind):
    values = np.arange(6).astype(STORAGES[kind])
    found = read(of_one(tmp_path / "a.pt", tensor("0", kind, 0, (2, 3), (3, 1)), storages=[values]))
    np.testing.assert_array_equal(found["a"], values.reshape(2, 3), strict=True)


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_order_of_bytes_is_the_files(tmp_path, order):
    values = VALUES.astype({"little": "<f4", "big": ">f4"}[order])
    upper = (VALUES.view("<u4") >> 16).astype({"little": "<u2", "big": ">u2"}[order])
    items = {
        "whole": tensor("0", "FloatStorage", 0, (24,), (1,)),
        "half": tensor("1", "BFloat16Storage", 0, (24,), (1,)),
    }
    entries = [("archive/byteorder", order.encode())]
    found = read(write(tmp_path / "a.pt", whole(ordered(items)), [values, upper], entries=entries))
    for name in items:
        np.testing.assert_array_equal(found[name], VALUES, strict=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_view_is_read_as_numpy_takes_it_or_refused_where_it_leaves_its_storage(data, tmp_path_factory):
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=3)))
    steps = tuple(data.draw(st.integers(0, 9)) for _ in shape)
    offset = data.draw(st.integers(0, 9))
    path = tmp_path_factory.mktemp("view") / "a.pt"
    of_one(path, tensor("0", "FloatStorage", offset, shape, steps))
    last = offset + sum((side - 1) * step for side, step in zip(shape, steps, strict=True))
    if 0 not in shape and last >= VALUES.size:
        with raises(CheckpointError, "a lies outside", path=path):
            read(path)
        return
    expected = np.zeros(shape, np.float32)
    for place in np.ndindex(*shape):
        expected[place] = VALUES[offset + int(np.dot(place, steps))]
    np.testing.assert_array_equal(read(path)["a"], expected, strict=True)


@pytest.mark.parametrize("metadata", [b"", b"N", b"}"])
def test_a_tensor_with_no_metadata_or_empty_ones_is_read(tmp_path, metadata):
    found = read(of_one(tmp_path / "a.pt", tensor("0", "FloatStorage", 0, (24,), (1,), metadata=metadata)))
    np.testing.assert_array_equal(found["a"], VALUES, strict=True)


def test_containers_parameters_and_shared_storages_are_read(tmp_path):
    shared = tensor("0", "FloatStorage", 0, (24,), (1,))
    parameter = named("torch._utils", "_rebuild_parameter") + b"(" + shared + b"\x88"
    parameter += named("collections", "OrderedDict") + b")RtR"
    attributes = b"}" + text("_metadata") + ordered({}) + b"sb"
    others = b"](" + number(1) + number(2**70) + number(2.5) + b"N\x88\x89)" + numbers([1, 2]) + text("x") + b"e"
    inner = ordered({"weight": parameter, "again": shared}) + attributes
    with TorchFile(write(tmp_path / "a.pt", whole(ordered({"state": inner, "rest": others})), [VALUES])) as file:
        assert file.content["rest"] == [1, 2**70, 2.5, None, True, False, (), (1, 2), "x"]
        found = file.read(file.content["state"])
    for name in ("weight", "again"):
        np.testing.assert_array_equal(found[name], VALUES, strict=True)


class Runs:
    """Unpickled, it would call something."""

    def __init__(self, call, *arguments):
        self.reduced = call, arguments

    def __reduce__(self):
        return self.reduced


HOSTILE = {
    "system": lambda canary: Runs(os.system, f"touch {canary}"),
    "eval": lambda canary: Runs(builtins.eval, f"open({str(canary)!r}, 'w')"),
    "encode": lambda canary: Runs(codecs.encode, "a", "rot13"),
    "partial": lambda canary: functools.partial(print, "a"),
    "numpy": lambda canary: np.ones(3),
    "set": lambda canary: frozenset({1, 2}),
    "Fraction": lambda canary: Fraction(1, 2),
}


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_with_anything_else_is_refused_and_nothing_of_it_runs(tmp_path, name, protocol):
    canary = tmp_path / "canary"
    path = write(tmp_path / "a.pt", pickle.dumps({"a": HOSTILE[name](canary)}, protocol))
    with raises(CheckpointError, *([name] if name != "set" or protocol < 4 else []), path=path):
        TorchFile(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    "instructions",
    [
        named("torch.storage", "_load_from_bytes") + b"(" + text("x") + b"tR",
        named("torch", "load") + b"(" + text("x") + b"tR",
        named("collections", "OrderedDict") + b"((" + text("a") + text("b") + b"ttR",
        named("torch._utils", "_rebuild_tensor_v2") + b")R",
        named("torch._utils", "_rebuild_parameter") + b"(" + text("x") + b"tR",
        named("torch", "Size") + b"(](" + number(1) * 20 + b"etR",
        named("torch", "Size") + numbers([1] * 20) + b"\x85R",
        text("a") + b"Q",
        b"(" + text("module") + text("f4") + text("0") + b"tQ",
        text("a") + b")R",
        b"(" * 3,
        b"R",
        b"h\x05",
        b"]" + text("a") + b"s",
        b"}]" + text("a") + b"s",
        b"]}" + text("_metadata") + text("x") + b"sb",
        b"]r" + b"\xff" * 4 + b"b",
        b"\x8b\xff\xff\xff\x7f",
        b"\x95" + b"\xff" * 8,
        b"\x8d" + b"\xff" * 8,
        b"I1\n",
        b"i__builtin__\neval\n",
        b"\x82\x01",
        b"P1\n",
        tensor("0", "FloatStorage", -1, (2,), (1,)),
        tensor("0", "FloatStorage", 0, (2,), (-1,)),
        tensor("0", "FloatStorage", 0, (2, 2), (1,)),
        tensor("0", "FloatStorage", 0, (True,), (1,)),
        tensor("0", "FloatStorage", 0, (1 << 60,), (0,)),
        tensor("0", "FloatStorage", 0, (1,) * 9, (1,) * 9),
        tensor("0", "FloatStorage", 0, (1 << 40,), (0,)),
        tensor("0", "ComplexFloatStorage", 0, (2,), (1,)),
        tensor("../0", "FloatStorage", 0, (2,), (1,)),
        tensor("1", "FloatStorage", 0, (2,), (1,)),
        tensor("0", "FloatStorage", 0, (2,), (1,), metadata=b"}" + text("neg") + b"\x88s"),
        tensor("0", "FloatStorage", 0, (2,), (1,), metadata=b"\x88"),
        tensor("0", "FloatStorage", 0, (2,), (1,), metadata=b"NN" + text("later")),
    ],
)
def test_instructions_that_make_no_tensor_are_refused_in_one_line(tmp_path, instructions):
    path = of_one(tmp_path / "a.pt", instructions)
    with raises(CheckpointError, path=path) as refused:
        read(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "instructions", [b"(" * 600_000, b"]" * 600_000, b"]" * 400_000 + b"a" * 399_999, b"N0" * 400_000]
)
def test_deep_and_endless_pickles_end_in_one_line_or_a_value(tmp_path, instructions):
    path = write(tmp_path / "a.pt", whole(instructions))
    assert read_or_refused(path) in (None, {})


def test_a_tensor_is_never_larger_than_its_file(tmp_path):
    path = of_one(tmp_path / "a.pt", tensor("0", "FloatStorage", 0, (1000, 1000), (0, 0)))
    with raises(CheckpointError, 4_000_000, path=path):
        read(path)


def replaced(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    return path


def legacy(path):
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))
    return path


def with_warning(make):
    def made(path):
        with pytest.warns(UserWarning, match="Duplicate name"):
            return make(path)

    return made


FILES = {
    "legacy": (legacy, "1.6"),
    "twice": (with_warning(lambda path: stored(path, ALL, entries=[("archive/data/0", b"")])), "twice"),
    "two pickles": (lambda path: stored(path, ALL, entries=[("b/data.pkl", b"")]), "data.pkl"),
    "no pickle": (lambda path: write(path, b"", root="a/b"), "data.pkl"),
    "a program": (lambda path: stored(path, ALL, entries=[("archive/constants.pkl", b"")]), "TorchScript"),
    "compressed": (lambda path: stored(path, ALL, compression=zipfile.ZIP_DEFLATED), "compressed"),
    "order": (lambda path: stored(path, ALL, entries=[("archive/byteorder", b"middle")]), "order"),
    "storage cut": (
        lambda path: write(path, whole(ordered({"a": tensor("0", "FloatStorage", 0, (3,), (1,))})), [b"x"]),
        "a",
    ),
    "storage changed": (lambda path: replaced(stored(path, ALL), VALUES.tobytes()[:12], b"changedbytes"), "CRC"),
    "half a zip": (lambda path: path.write_bytes(stored(path, ALL).read_bytes()[:200]) and path, "damaged"),
    "text": (lambda path: path.write_text("PK, but no zip") and path, "damaged"),
    "empty": (lambda path: path.write_bytes(b"") or path, "no checkpoint"),
    "a folder": (lambda path: path.mkdir() or path, "directory"),
    "nothing": (lambda path: path, "No such file"),
    "a pipe": (lambda path: os.mkfifo(path) or path, "no checkpoint"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_whole_checkpoint_is_refused_in_one_line(tmp_path, name):
    make, fact = FILES[name]
    path = make(tmp_path / "a.pt")
    with raises(CheckpointError, fact, path=path) as refused:
        read(path)
    assert "\n" not in str(refused.value)


def test_nothing_is_written_wherever_the_names_in_the_zip_lead(tmp_path):
    path = stored(tmp_path / "a.pt", ALL, entries=[("../../evil", b"x"), ("/evil", b"x")])
    read(path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_a_storage_whose_size_is_a_lie_takes_no_memory(tmp_path):
    path = stored(tmp_path / "a.pt", ALL)
    content = bytearray(path.read_bytes())
    place = content.rindex(b"archive/data/0") - 46
    content[place + 20 : place + 28] = b"\xff\xff\xff\x7f" * 2
    path.write_bytes(content)
    with raises(CheckpointError, "larger than the file", path=path):
        read(path)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_damage_gives_the_same_tensors_or_one_line(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "a.pt"
    content = bytearray(stored(path, ALL).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.sampled_from([len(content), len(content) - 9, len(content) // 2]))])
    tracemalloc.start()
    found = read_or_refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    for name, values in ALL.items() if found is not None else ():
        np.testing.assert_array_equal(found[name], values, strict=True)
    assert peak < len(content) + 100e6


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_change_of_the_pickle_gives_tensors_or_one_line(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("damaged") / "a.pt"
    content = bytearray(whole(ordered({"a": tensor("0", "FloatStorage", 2, (2, 3), (3, 1)), "b": b"](N\x88e"})))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    write(path, bytes(content), [VALUES])
    read_or_refused(path)
