import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sepcore.dataset.cache.build_index import build_index, find_index
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.shards import read_columns, sidecar_path, write_shard
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import in_dtype, plan_of, shard_of
from tests.dataset.conftest import write_noise_song
from tests.raised import raises


@pytest.fixture(scope="module")
def cached(config, tmp_path_factory):
    """Songs with their shards: b of two chunks, a of three."""
    folder = tmp_path_factory.mktemp("dataset")
    rows = [write_noise_song(folder / "songs", config, name) for name in ("b", "a")]
    return [
        (row.name, shard_of(row, config, folder / "cache", num_chunks=number))
        for row, number in zip(rows, (2, 3), strict=True)
    ]


@pytest.fixture
def songs(cached, tmp_path):
    """A copy of the shards in a folder of their own."""
    shutil.copytree(cached[0][1].path.parent, tmp_path, dirs_exist_ok=True)
    return [(song, dataclasses.replace(shard, path=tmp_path / shard.path.name)) for song, shard in cached]


def built(folder, songs, config):
    build_index(folder, songs, config)
    return read_index(folder, config)


def rows(index):
    return [index.row(number) for number in range(len(index))]


def test_the_index_lists_every_chunk_by_song_and_place(config, songs, tmp_path):
    index = built(tmp_path, songs, config)
    assert [(row["song"], row["chunk"]) for row in rows(index)] == [
        ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1),
    ]  # fmt: skip
    assert (len(index), index.num_songs) == (5, 2)


def test_columns_say_where_each_chunk_stands(config, songs, tmp_path):
    index = built(tmp_path, songs, config)
    shard_of_a, shard_of_b = songs[1][1], songs[0][1]
    assert index.shards == (shard_of_a.path.name, shard_of_b.path.name)
    assert index.shard_paths == [str(shard_of_a.path), str(shard_of_b.path)]
    assert index.shard.tolist() == [0, 0, 0, 1, 1]
    assert index.chunk.tolist() == [0, 1, 2, 0, 1]
    assert index.length.tolist() == [config.chunk_frames] * 5
    columns = [read_columns(shard.path) for shard in (shard_of_a, shard_of_b)]
    assert index.offset.tolist() == [offset for of_shard in columns for offset in of_shard["offset"]]
    assert index.num_bytes.tolist() == [num_bytes for of_shard in columns for num_bytes in of_shard["num_bytes"]]
    assert (index.cache_format, index.cache_dtype) == ("tfrecord", "uint8")


def test_a_row_has_all_columns_of_a_chunk(config, songs, tmp_path):
    shard = songs[0][1]
    columns = read_columns(shard.path)
    index = built(tmp_path, songs, config)
    assert index.row(4) == {
        "song": "b",
        "instruments": ["vocals", "drums"],
        "chunk": 1,
        "start_s": 2.0,
        "length_s": 1.5,
        "num_frames": config.chunk_frames,
        "shard": shard.path.name,
        "fingerprint": shard.fingerprint,
        **{name: columns[name][1] for name in ("min_db", "max_db", "offset", "num_bytes", "checksum")},
    }
    assert index.song_names() == {"a", "b"}


@pytest.mark.parametrize("number", [-1, 5])
def test_there_is_no_row_outside_the_index(config, songs, tmp_path, number):
    with pytest.raises(IndexError, match=f"chunk {number} of 5"):
        built(tmp_path, songs, config).row(number)


def test_many_songs_come_in_parts_and_are_read_as_one(config, songs, tmp_path, monkeypatch):
    whole = built(tmp_path, songs, config)
    rows_of_whole = rows(whole)
    shutil.rmtree(whole.path.parent / "indexes")
    monkeypatch.setattr("sepcore.dataset.cache.build_index._SONGS_AT_ONCE", 1)
    index = built(tmp_path, songs, config)
    assert rows(index) == rows_of_whole
    for column in ("shard", "chunk", "offset", "num_bytes", "length"):
        np.testing.assert_array_equal(getattr(index, column), getattr(whole, column))
    assert (index.shards, index.fingerprint()) == (whole.shards, whole.fingerprint())


def test_pandas_reads_it(config, songs, tmp_path):
    table = pd.read_parquet(build_index(tmp_path, songs, config))
    assert table.song.tolist() == ["a", "a", "a", "b", "b"]
    assert table.start_s.tolist() == [0.5, 1.25, 2.0, 0.5, 2.0]
    assert list(table.instruments[0]) == ["vocals", "drums"]


def test_the_order_of_the_songs_does_not_matter(config, songs, tmp_path):
    first = build_index(tmp_path, songs, config).read_bytes()
    assert build_index(tmp_path, songs[::-1], config).read_bytes() == first


def test_another_caching_in_the_folder_leaves_an_index_and_what_reads_it_alone(config, songs, tmp_path):
    first = build_index(tmp_path, songs, config)
    index, content = read_index(first, config), first.read_bytes()
    second = build_index(tmp_path, songs[:1], config.model_copy(update={"segment_frames": 32}))
    assert second != first
    assert (first.read_bytes(), index.folder) == (content, tmp_path)
    assert [row["song"] for row in rows(index)] == ["a", "a", "a", "b", "b"]
    assert (tmp_path / "index.parquet").read_bytes() == second.read_bytes()


def test_an_index_that_is_there_is_found_and_only_its_copy_put_back(config, songs, tmp_path):
    assert find_index(tmp_path, songs, config) is None
    index = build_index(tmp_path, songs, config)
    build_index(tmp_path, songs[:1], config)
    written = index.stat().st_mtime_ns
    assert find_index(tmp_path, songs[::-1], config) == index == build_index(tmp_path, songs, config)
    assert index.stat().st_mtime_ns == written
    assert (tmp_path / "index.parquet").read_bytes() == index.read_bytes()


def test_a_damaged_index_is_not_found_and_written_anew(config, songs, tmp_path):
    index = build_index(tmp_path, songs, config)
    content = index.read_bytes()
    index.write_bytes(content[:-20])
    assert find_index(tmp_path, songs, config) is None
    build_index(tmp_path, songs, config)
    assert index.read_bytes() == content


@pytest.mark.parametrize("same", [True, False])
def test_of_a_read_only_cache_without_indexes_of_their_own_index_parquet_is_taken_if_it_lists_these_songs(
    config, songs, tmp_path, same, monkeypatch
):
    as_by_the_version_before(build_index(tmp_path, songs, config), tmp_path)
    monkeypatch.setattr("sepcore.dataset.cache.build_index.os.access", lambda path, mode: False)  # root may, anywhere
    wanted = songs if same else songs[:1]
    assert find_index(tmp_path, wanted, config) == (tmp_path / "index.parquet" if same else None)


def test_where_it_can_be_written_to_such_a_cache_gets_an_index_of_its_own(config, songs, tmp_path):
    as_by_the_version_before(build_index(tmp_path, songs, config), tmp_path)
    assert find_index(tmp_path, songs, config) is None
    assert read_index(build_index(tmp_path, songs, config), config).path.parent.name == "indexes"


def as_by_the_version_before(index, folder):
    """Leave a cache as a version left it that knew only ``index.parquet``, which had no key."""
    with pq.ParquetFile(index) as file:
        summary = json.loads(file.metadata.metadata[b"stemworks"])
        del summary["key"]
        with pq.ParquetWriter(folder / "index.parquet", file.schema_arrow) as writer:
            writer.write_table(file.read())
            writer.add_key_value_metadata({"stemworks": json.dumps(summary)})
    shutil.rmtree(index.parent)


def test_shards_that_are_not_given_are_not_in_it(config, songs, tmp_path):
    assert built(tmp_path, songs[:1], config).song_names() == {"b"}


def test_songs_of_equal_content_share_a_shard(config, songs, tmp_path):
    copied = [*songs, ("copy of b", songs[0][1])]
    index = built(tmp_path, copied, config)
    assert (len(index), index.num_songs, len(index.shards)) == (7, 3, 2)
    assert index.shard.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert index.fingerprint() != built(tmp_path, songs, config).fingerprint()


def test_its_fingerprint_is_that_of_the_songs_content_in_their_order(config, songs, tmp_path):
    b, a = songs
    fingerprint = built(tmp_path, songs, config).fingerprint()
    assert built(tmp_path, [a, b], config).fingerprint() == fingerprint
    assert built(tmp_path, [("A", a[1]), ("B", b[1])], config).fingerprint() == fingerprint
    assert built(tmp_path, [("b", a[1]), ("a", b[1])], config).fingerprint() != fingerprint
    assert built(tmp_path, [b], config).fingerprint() != fingerprint


def test_only_chunks_that_hold_a_segment_are_listed(config, write_song, tmp_path):
    plan = plan_of(write_song("song", duration_s=2.5), config, num_chunks=3)
    shard = write_shard(dataclasses.replace(plan, starts=(0, 4000, 14_000)), config, tmp_path / "cache")
    assert shard.num_chunks == 3
    assert built(tmp_path / "cache", [("song", shard)], config).chunk.tolist() == [0, 1]
    shorter = config.model_copy(update={"segment_frames": 16})
    assert built(tmp_path / "cache", [("song", shard)], shorter).chunk.tolist() == [0, 1, 2]


def test_a_song_without_a_chunk_is_no_song_of_the_index(config, songs, write_song, tmp_path):
    jingle = shard_of(write_song("jingle", duration_s=0.3), config, tmp_path, num_chunks=2)
    index = built(tmp_path, [*songs, ("jingle", jingle)], config)
    assert (index.num_songs, len(index.shards)) == (2, 2)


@pytest.mark.parametrize("part", ["shard", "JSON"])
def test_a_shard_that_was_deleted_is_named(config, songs, tmp_path, part):
    path = songs[1][1].path
    (path if part == "shard" else sidecar_path(path)).unlink()
    with raises(DatasetError, path=path):
        build_index(tmp_path, songs, config)
    assert not (tmp_path / "index.parquet").exists()


def test_a_folder_without_index_is_refused(config, tmp_path):
    with raises(DatasetError, path=tmp_path / "index.parquet", hint="python -m flows.cache"):
        read_index(tmp_path, config)


def test_a_file_that_is_no_index_is_refused(config, tmp_path):
    (tmp_path / "index.parquet").write_bytes(b"PAR?")
    with raises(DatasetError, "not an index", path=tmp_path / "index.parquet"):
        read_index(tmp_path, config)


def test_a_parquet_file_of_something_else_is_refused(config, tmp_path):
    pd.DataFrame({"song": ["a"]}).to_parquet(tmp_path / "index.parquet")
    with raises(DatasetError, "not an index", path=tmp_path / "index.parquet"):
        read_index(tmp_path, config)


@pytest.mark.parametrize("theirs", ["parquet", "text", "empty", "cut", "link", "folder"])
def test_what_somebody_else_called_as_the_copy_is_left_alone(config, songs, tmp_path, caplog, theirs):
    copy = tmp_path / "index.parquet"
    if theirs == "folder":
        copy.mkdir()
    elif theirs == "link":
        copy.symlink_to(tmp_path / "elsewhere.parquet")
    else:
        pd.DataFrame({"song": ["a"]}).to_parquet(copy)
        whole = copy.read_bytes()
        copy.write_bytes({"parquet": whole, "text": b"my notes", "empty": b"", "cut": whole[:-9]}[theirs])
    before = copy.lstat(), copy.read_bytes() if copy.is_file() else None
    index = build_index(tmp_path, songs, config)
    assert (copy.lstat(), copy.read_bytes() if copy.is_file() else None) == before
    assert f"the index is {index}" in caplog.text
    assert find_index(tmp_path, songs, config) == index


def test_an_index_of_other_settings_is_refused_and_they_are_named(config, songs, tmp_path):
    build_index(tmp_path, songs, config)
    other = config.model_copy(update={"hop_length": 256, "instruments": ("drums", "vocals")})
    named = ('["vocals", "drums"]', '["drums", "vocals"]', "frame_step = 128", "256")
    with raises(DatasetError, *named, path=tmp_path / "index.parquet"):
        read_index(tmp_path, other)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"cache_content": "waveform", "cache_dtype": "int16"}, ('cache_content = "spectrogram"', '"waveform"')),
        ({"segment_frames": 32}, ("T = 64", "32")),
        ({"cache_dtype": "float16"}, ('cache_dtype = "uint8"', '"float16"')),
        ({"cache_format": "parquet"}, ('cache_format = "tfrecord"', '"parquet"')),
    ],
)
def test_an_index_for_another_segment_or_form_of_shards_is_refused(config, songs, tmp_path, setting, named):
    build_index(tmp_path, songs, config)
    with raises(DatasetError, *named, path=tmp_path / "index.parquet"):
        read_index(tmp_path, config.model_copy(update=setting))


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"cache_content": "spectrogram", "cache_dtype": "uint8"}, ('cache_content = "waveform"', '"spectrogram"')),
        ({"cache_dtype": "int24"}, ('cache_dtype = "int16"', '"int24"')),
        ({"sample_rate": 16_000}, ("sample_rate = 8000", "16000")),
        ({"num_channels": 1}, ("n_channels = 2", "1")),
        ({"segment_frames": 32}, ("T = 64", "32")),
        ({"hop_length": 64}, ("frame_step = 128", "64")),
    ],
)
def test_an_index_of_waveforms_with_other_settings_is_refused_with_the_key(
    config, write_song, tmp_path, setting, named
):
    waveforms = in_dtype(config, "int16")
    build_index(tmp_path, [("song", shard_of(write_song("song"), waveforms, tmp_path, num_chunks=2))], waveforms)
    with raises(DatasetError, *named, path=tmp_path / "index.parquet") as raised:
        read_index(tmp_path, waveforms.model_copy(update=setting))
    assert raised.value.problem.count(" = ") == 1


def test_zero_usable_chunks_are_refused_with_the_reason(config, write_song, tmp_path):
    shard = shard_of(write_song("jingle", duration_s=0.5), config, tmp_path / "cache", num_chunks=2)
    index = tmp_path / "cache" / "index.parquet"
    with raises(DatasetError, "0 usable chunks", "1 song", "T = 64", path=index, hint="chunk_duration"):
        built(tmp_path / "cache", [("jingle", shard)], config)


def test_an_index_of_no_song_is_refused(config, tmp_path):
    with raises(DatasetError, "0 usable chunks", "0 song", path=tmp_path / "index.parquet"):
        built(tmp_path, [], config)
