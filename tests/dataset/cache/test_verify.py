import errno
import os

import numpy as np
import pytest

from sepcore.dataset.cache.chunks import song_chunks
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.shards import write_shard
from sepcore.dataset.cache.verify import read_chunk
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import plan_of
from tests.raised import raises


@pytest.fixture
def plans(each_dtype, write_song):
    return [plan_of(write_song(name), each_dtype, num_chunks=3) for name in ("a", "b")]


@pytest.fixture
def index(each_dtype, plans, tmp_path):
    folder = tmp_path / "cache"
    build_index(folder, [(plan.song, write_shard(plan, each_dtype, folder)) for plan in plans], each_dtype)
    return read_index(folder, each_dtype)


def flip(path, byte):
    content = bytearray(path.read_bytes())
    content[byte] ^= 0b100
    path.write_bytes(content)


def test_chunks_are_read_as_they_were_computed(each_dtype, plans, index):
    for number, expected in enumerate(chunk for plan in plans for chunk in song_chunks(plan, each_dtype)):
        chunk = read_chunk(index.folder, index.record(number))
        assert (chunk.number, chunk.start_s) == (expected.number, expected.start_s)
        for signal, computed in zip(chunk.signals, expected.signals, strict=True):
            np.testing.assert_array_equal(signal.codes, computed.codes)
            np.testing.assert_allclose(signal.magnitude(), computed.magnitude(), rtol=2e-6)


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_flipped_byte_anywhere_in_a_shard_is_found_and_its_song_chunk_and_file_named(index, place):
    path = index.folder / index.shards[1]
    byte = round(place * (path.stat().st_size - 1))
    flip(path, byte)
    records = [record for record in index.records() if record.song == "b"]
    (hit,) = (record for record in records if 0 <= byte - record.offset < record.num_bytes)
    expected = f"{path}: chunk {hit.chunk} of 'b' is damaged. "
    expected += "Run `python -m flows.cache -p CONFIG --verify` to cache the song again."
    with pytest.raises(DatasetError) as raised:
        read_chunk(index.folder, hit)
    assert str(raised.value) == expected


def test_what_was_cut_off_a_shard_is_named(index):
    path = index.folder / index.shards[0]
    path.write_bytes(path.read_bytes()[: index.offset[1] + 100])
    with raises(DatasetError, "chunk 1", "'a'", "damaged", path=path, hint="--verify"):
        read_chunk(index.folder, index.record(1))


def test_a_shard_that_has_gone_is_named(index):
    path = index.folder / index.shards[0]
    path.unlink()
    with raises(DatasetError, "chunk 2", "'a'", "missing", path=path, hint="--verify"):
        read_chunk(index.folder, index.record(2))


def test_a_shard_that_may_not_be_read_is_not_called_damaged(index, monkeypatch):
    def refused(path, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    path, record = index.folder / index.shards[0], index.record(0)
    monkeypatch.setattr("pathlib.Path.open", refused)
    with raises(DatasetError, "chunk 0", "'a'", os.strerror(errno.EACCES), path=path, hint="readable") as raised:
        read_chunk(index.folder, record)
    assert raised.value.errno == errno.EACCES


@pytest.mark.parametrize("each_format", ["parquet"], indirect=True)
def test_a_chunk_whose_files_directory_is_damaged_is_named(index):
    path = index.folder / index.shards[0]
    flip(path, -1)
    with raises(DatasetError, "chunk 0", "'a'", "damaged", path=path, hint="--verify"):
        read_chunk(index.folder, index.record(0))
