"""Checkpoints that are damaged, or made to do harm: refused in one line, at once, in bounded memory."""

import struct
import time
import tracemalloc
from contextlib import contextmanager

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepcore.errors import CheckpointError
from sepcore.networks.leveldb_table import masked, varint
from sepcore.networks.stored_tensors import load_tensors
from sepcore.networks.tensor_bundle import TensorBundle, TensorEntry, write_tensor_bundle
from sepcore.system.printable import is_printable
from tests.raised import raises

INDEX, DATA = "model.index", "model.data-00000-of-00001"
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
MOST_BYTES, MOST_S = 100 << 20, 20.0
NUMBERS = st.sampled_from([0, 1, 2, 36, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]) | st.integers(0, 100)


def small():
    rng = np.random.default_rng(0)
    return {f"conv2d_{i}/kernel": rng.standard_normal((3, 3, 2)).astype(np.float32) for i in range(40)}


@contextmanager
def bounded():
    """The block takes little memory, and not long even on a busy machine."""
    started = time.monotonic()
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < MOST_S


def read_all(prefix):
    """Every tensor, or None where the checkpoint is refused as it should be."""
    try:
        with bounded():
            bundle = TensorBundle(prefix)
            return {name: bundle.read(name) for name in bundle.shapes}
    except CheckpointError as refused:
        error = refused
    assert error.path == prefix
    assert is_printable(str(error))
    assert len(str(error)) < 3000
    return None


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Makes a folder with a checkpoint of `small` tensors."""

    def make():
        folder = tmp_path_factory.mktemp("damaged")
        write_tensor_bundle(folder / "model", small())
        return folder

    return make


def damaged(data, content, longest=64):
    """Bytes that are cut off, changed, put in, left out or repeated at a drawn place."""
    start = data.draw(st.integers(0, len(content) - 1))
    end = min(len(content), start + data.draw(st.integers(1, longest)))
    way = data.draw(st.sampled_from(["cut", "change", "insert", "remove", "repeat"]))
    drawn = data.draw(st.binary(min_size=1, max_size=end - start))
    between = {"change": drawn, "insert": drawn + content[start:end], "repeat": 2 * content[start:end]}
    return content[:start] + between.get(way, b"") + (b"" if way == "cut" else content[end:])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_or_changes_nothing(data, folders):
    folder = folders()
    path = folder / data.draw(st.sampled_from([INDEX, DATA]))
    path.write_bytes(damaged(data, path.read_bytes()))
    read = read_all(folder / "model")
    if read is not None:
        assert set(read) == set(small())
        for name, value in small().items():
            np.testing.assert_array_equal(read[name], value, strict=True)


def sealed(block):
    """A block of a table with the checksum that belongs to it."""
    return block + struct.pack("<BI", 0, masked(google_crc32c.value(block + b"\0")))


def entry(key, value, shared=0):
    return varint(shared) + varint(len(key)) + varint(len(value)) + key + value


def block(*entries, restarts=1):
    return b"".join(entries) + bytes(4 * restarts) + struct.pack("<I", restarts)


def table(blocks, order=None, index=None):
    """A table of blocks, with checksums that are right; the index names them in this order."""
    content, handles = b"", []
    for one in (*blocks, block()):
        handles.append(varint(len(content)) + varint(len(one)))
        content += sealed(one)
    order = range(len(blocks)) if order is None else order
    entries = [entry(struct.pack(">I", place), handles[number]) for place, number in enumerate(order)]
    index = block(*entries) if index is None else index
    footer = handles[-1] + varint(len(content)) + varint(len(index))
    return content + sealed(index) + footer.ljust(40, b"\0") + MAGIC


HEADER = entry(b"", b"\x08\x01\x1a\x02\x08\x01")


def entries(tensors):
    """A block's entries for tensors whose bytes stand one behind the other."""
    offset = 0
    for name, value in sorted(tensors.items()):
        place = TensorEntry(
            1, value.shape, 0, offset, value.nbytes, masked(google_crc32c.value(value.tobytes())), False
        )
        yield entry(name.encode(), place.packed())
        offset += value.nbytes


def test_a_table_that_is_put_together_here_is_read(folders):
    folder = folders()
    first, *others = entries(small())
    (folder / INDEX).write_bytes(table([block(HEADER, first), block(*others, restarts=7)]))
    read = read_all(folder / "model")
    assert len(read) == 40
    assert all((read[name] == value).all() for name, value in small().items())


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_whose_checksums_are_right_ends_in_tensors_or_in_one_line(data, folders):
    folder = folders()
    of_tensors, of_blocks = block(HEADER, *entries(small())), block(entry(b"x", b"\x00\xff\x01"))
    if data.draw(st.booleans()):
        of_tensors = damaged(data, of_tensors)
    else:
        of_blocks = damaged(data, of_blocks)
    (folder / INDEX).write_bytes(table([of_tensors], index=of_blocks))
    read_all(folder / "model")


@settings(max_examples=300, deadline=None)
@given(
    dtype=NUMBERS,
    shape=st.lists(NUMBERS, max_size=12),
    shard=NUMBERS,
    offset=NUMBERS,
    num_bytes=NUMBERS,
    num_shards=NUMBERS,
    name=st.text(max_size=40),
)
def test_whatever_numbers_an_entry_has_it_ends_in_a_tensor_or_in_one_line(
    folders, dtype, shape, shard, offset, num_bytes, num_shards, name
):
    folder = folders()
    place = TensorEntry(dtype, tuple(shape), shard, offset, num_bytes, 0, is_sliced=False)
    header = entry(b"", b"\x08" + varint(num_shards))
    (folder / INDEX).write_bytes(table([block(header, entry(name.encode("utf-8", "surrogatepass"), place.packed()))]))
    read_all(folder / "model")


LONG = 1 << 20
SIDES = b"\x12\x00" * LONG  # a million sides of 0
HOSTILE = {
    "keys that share a megabyte": [
        block(HEADER, entry(b"a" * LONG, b""), *(entry(b"b", b"", LONG) for _ in range(3000)))
    ],
    "keys that share a kilobyte": [
        block(HEADER, entry(b"a" * 1020, b""), *(entry(struct.pack(">I", n), b"", 1020) for n in range(19_990)))
    ],
    "hundreds of thousands of tensors": [block(HEADER, *(entry(b"%06x" % number, b"") for number in range(400_000)))],
    "a million dimensions": [block(HEADER, entry(b"a", b"\x12" + varint(len(SIDES)) + SIDES))],
    "a hundred thousand fields": [block(HEADER, entry(b"a", b"\x08\x01" * 100_000))],
    "a million restarts": [block(HEADER, restarts=LONG - 100)],
    "more restarts than bytes": [HEADER + struct.pack("<I", 0xFFFFFFFF)],
    "a value longer than the table": [HEADER + b"\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(8)],
    "a key that begins before its block": [block(entry(b"a", b"", shared=9), HEADER)],
    "sides that are negative": [block(HEADER, entry(b"a", TensorEntry(1, (2**64 - 1, 0), 0, 0, 0, 0, False).packed()))],
    "an empty tensor without end": [block(HEADER, entry(b"a", TensorEntry(1, (0, 2**62), 0, 0, 0, 0, False).packed()))],
    "a name in two lines": [block(HEADER, entry(b"a\n\x1b[2J", TensorEntry(1, (1,), 0, 0, 4, 5, False).packed()))],
    "a name that is no UTF-8": [block(HEADER, entry(b"\xff", b""))],
}


@pytest.mark.parametrize("harm", HOSTILE)
def test_an_index_made_to_do_harm_gives_no_tensor(harm, folders):
    folder = folders()
    (folder / INDEX).write_bytes(table(HOSTILE[harm]))
    assert not read_all(folder / "model")


def test_a_block_that_the_index_names_again_and_again_is_looked_at_once(folders):
    folder = folders()
    nothing = block(restarts=LONG // 2)
    (folder / INDEX).write_bytes(table([block(HEADER), nothing], order=[0, *[1] * 100_000]))
    assert read_all(folder / "model") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 47,
        b"\xff" * 40 + MAGIC,
        b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01" * 4 + MAGIC,
        b"\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f".ljust(40, b"\0") + MAGIC,
    ],
)
def test_what_only_ends_like_an_index_is_refused(content, folders):
    folder = folders()
    (folder / INDEX).write_bytes(content)
    assert read_all(folder / "model") is None


def test_an_index_without_end_is_refused(folders):
    folder = folders()
    with (folder / INDEX).open("wb") as file:
        file.truncate(1 << 30)
    assert read_all(folder / "model") is None


def test_a_missing_file_of_tensors_is_named(folders):
    folder = folders()
    (folder / DATA).rename(folder / "model.data-00000-of-00002")
    with raises(CheckpointError, DATA, path=folder / "model"):
        TensorBundle(folder / "model").read("conv2d_1/kernel")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("conv2d/kernel", np.zeros((2, 3), np.int32)),
        ("conv2d/kernel", np.zeros((2, 3), bool)),
        ("conv2d/kernel", np.full((2, 3), 1e300)),
        ("conv2d/kernel", np.full((2, 3), np.nan, np.float32)),
        ("conv2d/kernel", np.zeros((3, 2), np.float32)),
        ("global_step", np.zeros((1000,), np.int64)),
        ("global_step", np.float32(np.nan)),
        ("global_step", np.array(True)),
    ],
)
def test_a_tensor_of_the_wrong_type_or_shape_is_refused_by_name(name, value, tmp_path):
    tensors = {"conv2d/kernel": np.ones((2, 3), np.float32), "global_step": np.int64(7)}
    write_tensor_bundle(tmp_path / "model", tensors)
    assert load_tensors({"conv2d/kernel": (2, 3)}, tmp_path)[1] == 7
    for file in (INDEX, DATA):
        (tmp_path / file).unlink()
    write_tensor_bundle(tmp_path / "model", tensors | {name: value})
    with raises(CheckpointError, name, path=tmp_path / "model"):
        load_tensors({"conv2d/kernel": (2, 3)}, tmp_path)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_another_precision_are_read_as_float32(dtype, tmp_path):
    write_tensor_bundle(tmp_path / "model", {"conv2d/kernel": np.full((2, 3), 0.5, dtype)})
    values, step = load_tensors({"conv2d/kernel": (2, 3)}, tmp_path)
    np.testing.assert_array_equal(values["conv2d/kernel"], np.full((2, 3), 0.5, np.float32), strict=True)
    assert step == 0
