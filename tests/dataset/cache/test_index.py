import dataclasses

import pandas as pd
import pytest

from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.shards import read_records, write_shard
from sepcore.errors import DatasetError
from tests.dataset.conftest import write_noise_song


@pytest.fixture(scope="module")
def shards(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    songs = [write_noise_song(folder / "songs", config, name) for name in ("b", "a")]
    return [write_shard(song, config, folder / "cache", num_chunks=2) for song in songs]


@pytest.fixture
def cache(shards):
    """The folder of the shards; every test writes its own index there."""
    return shards[0].path.parent


def test_the_index_lists_every_chunk_by_song_and_place(config, shards, cache):
    build_index(cache, shards, config)
    index = read_index(cache, config)
    assert [(record.song, record.chunk) for record in index.records] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    assert (len(index), index.num_songs) == (4, 2)


def test_records_come_back_from_parquet_as_they_were(config, shards, cache):
    build_index(cache, shards[:1], config)
    assert list(read_index(cache, config).records) == read_records(shards[0])


def test_pandas_reads_it(config, shards, cache):
    table = pd.read_parquet(build_index(cache, shards, config))
    assert table.start_s.tolist() == [0.5, 2.0, 0.5, 2.0]
    assert list(table.instruments[0]) == ["vocals", "drums"]


def test_the_order_of_the_shards_does_not_matter(config, shards, cache):
    first = build_index(cache, shards, config).read_bytes()
    assert build_index(cache, shards[::-1], config).read_bytes() == first


def test_shards_that_are_not_given_are_not_in_it(config, shards, cache):
    build_index(cache, shards[:1], config)
    assert {record.song for record in read_index(cache, config).records} == {"b"}


def test_its_fingerprint_is_that_of_the_songs(config, shards, cache):
    def fingerprint(chosen):
        build_index(cache, chosen, config)
        return read_index(cache, config).fingerprint()

    assert fingerprint(shards) == fingerprint(shards[::-1]) != fingerprint(shards[:1])


def test_a_shard_that_was_deleted_is_named(config, shards, cache):
    gone = dataclasses.replace(shards[1], path=cache / "gone.tfrecord")
    with pytest.raises(DatasetError, match=r"gone\.tfrecord: the shard is missing"):
        build_index(cache, [shards[0], gone], config)


def test_a_folder_without_index_is_refused(config, tmp_path):
    with pytest.raises(DatasetError, match="there is no such index; cache the songs first"):
        read_index(tmp_path, config)


def test_a_file_that_is_no_index_is_refused(config, tmp_path):
    (tmp_path / "index.parquet").write_bytes(b"PAR?")
    with pytest.raises(DatasetError, match="is not an index of shards"):
        read_index(tmp_path, config)


def test_an_index_of_other_settings_is_refused_and_they_are_named(config, shards, cache):
    build_index(cache, shards, config)
    other = config.model_copy(update={"hop_length": 256, "instruments": ("drums", "vocals")})
    with pytest.raises(DatasetError, match=r'\["vocals", "drums"\].*frame_step = 128 \(the config\'s is 256\)'):
        read_index(cache, other)


def test_zero_usable_chunks_are_refused_with_the_reason(config, write_song, tmp_path):
    shard = write_shard(write_song("jingle", duration_s=0.5), config, tmp_path / "cache", num_chunks=2)
    build_index(tmp_path / "cache", [shard], config)
    with pytest.raises(DatasetError, match=r"0 usable chunks in 1 song\(s\), 2 chunk\(s\) were shorter than T = 64"):
        read_index(tmp_path / "cache", config)
