import errno
import json
import os
import subprocess
import sys
from itertools import product

import google_crc32c
import numpy as np
import pytest

from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.chunks import song_chunks
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.maintenance import lock_cache, prune, remove_damaged_shards
from sepcore.dataset.cache.shards import find_shards, read_columns, sidecar_path, write_shard
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import in_dtype, plan_of, shard_of
from tests.raised import raises

KILLED = """
import os, pathlib, sys; from sepcore.dataset.cache.maintenance import lock_cache
with lock_cache(pathlib.Path(sys.argv[1])): os._exit(9)
"""
HELD = """
import pathlib, sys; from sepcore.dataset.cache.maintenance import lock_cache
with lock_cache(pathlib.Path(sys.argv[1])): print("held", flush=True); sys.stdin.read()
print("let go")
"""


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
        chunk = read_chunk(index, number)
        assert (chunk.number, chunk.start_s) == (expected.number, expected.start_s)
        for signal, computed in zip(chunk.signals, expected.signals, strict=True):
            np.testing.assert_array_equal(signal.codes, computed.codes)
            assert signal.shape == computed.shape
            if each_dtype.cache_content == "waveform":
                assert (signal.dtype, signal.scale) == (computed.dtype, computed.scale)
            else:
                np.testing.assert_allclose(signal.magnitude(), computed.magnitude(), rtol=2e-6)


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_a_flipped_byte_anywhere_in_a_shard_is_found_and_its_song_chunk_and_file_named(index, place):
    path = index.folder / index.shards[1]
    byte = round(place * (path.stat().st_size - 1))
    flip(path, byte)
    (hit,) = (row for row in (3, 4, 5) if 0 <= byte - index.offset[row] < index.num_bytes[row])
    expected = f"{path}: chunk {hit - 3} of 'b' is damaged. "
    expected += "Run `python -m flows.cache -p CONFIG --verify` to cache the song again."
    with pytest.raises(DatasetError) as raised:
        read_chunk(index, hit)
    assert str(raised.value) == expected


def test_what_was_cut_off_a_shard_is_named(index):
    path = index.folder / index.shards[0]
    path.write_bytes(path.read_bytes()[: index.offset[1] + 100])
    with raises(DatasetError, "chunk 1", "'a'", "damaged", path=path, hint="--verify"):
        read_chunk(index, 1)


def test_a_shard_that_has_gone_is_named(index):
    path = index.folder / index.shards[0]
    path.unlink()
    with raises(DatasetError, "chunk 2", "'a'", "missing", path=path, hint="--verify"):
        read_chunk(index, 2)


def test_a_shard_that_may_not_be_read_is_not_called_damaged(index, monkeypatch):
    def refused(path, *_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    path = index.folder / index.shards[0]
    monkeypatch.setattr("pathlib.Path.open", refused)
    with raises(DatasetError, "chunk 0", "'a'", os.strerror(errno.EACCES), path=path, hint="readable") as raised:
        read_chunk(index, 0)
    assert raised.value.errno == errno.EACCES


@pytest.mark.parametrize("each_format", ["parquet"], indirect=True)
def test_a_chunk_whose_files_directory_is_damaged_is_named(index):
    path = index.folder / index.shards[0]
    flip(path, -1)
    with raises(DatasetError, "chunk 0", "'a'", "damaged", path=path, hint="--verify"):
        read_chunk(index, 0)


@pytest.fixture
def shards(each_content, write_song, tmp_path):
    return [shard_of(write_song(name), each_content, tmp_path / "cache", num_chunks=2) for name in ("a", "b")]


def test_sound_shards_stay(shards, tmp_path):
    assert list(remove_damaged_shards(tmp_path / "cache")) == []
    assert len(find_shards(tmp_path / "cache")) == 2


@pytest.mark.parametrize("place", [0.0, 0.3, 0.7])
def test_a_flipped_byte_anywhere_is_found_and_its_shard_removed(shards, tmp_path, place):
    path = shards[0].path
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    (line,) = remove_damaged_shards(tmp_path / "cache")
    assert line.startswith(f"{path}: chunk(s) {0 if place < 0.5 else 1} damaged")
    assert set(find_shards(tmp_path / "cache")) == {shards[1].fingerprint}
    assert not path.exists()


def test_a_missing_folder_has_no_damaged_shards(tmp_path):
    assert list(remove_damaged_shards(tmp_path / "missing")) == []


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_shards_that_are_not_needed_go_with_what_belongs_to_them(shards, tmp_path):
    kept, gone = shards
    num_bytes = gone.size + sidecar_path(gone.path).stat().st_size
    assert prune(tmp_path / "cache", {kept.fingerprint}, dry_run=False) == (2, num_bytes)
    assert find_shards(tmp_path / "cache") == {kept.fingerprint: kept}
    assert names(tmp_path / "cache") == {kept.path.name, sidecar_path(kept.path).name}


def test_a_dry_run_counts_and_removes_nothing(shards, tmp_path):
    before = names(tmp_path / "cache")
    assert prune(tmp_path / "cache", set(), dry_run=True)[0] == 4
    assert names(tmp_path / "cache") == before


def test_a_shard_without_the_file_beside_it_goes_too(shards, tmp_path):
    sidecar_path(shards[0].path).unlink()
    assert prune(tmp_path / "cache", {shards[1].fingerprint}, dry_run=False)[0] == 1


def test_other_files_folders_and_links_stay(each_content, shards, tmp_path):
    folder = tmp_path / "cache"
    build_index(folder, [("a", shards[0])], each_content)
    (folder / "notes.json").write_text("{}")
    (folder / "song-0123456789ABCDEF.tfrecord").write_text("capitals")
    (folder / "takes-0123456789abcdef.json").mkdir()
    (folder / "link-0123456789abcdef.tfrecord").symlink_to(shards[0].path)
    before = names(folder)
    assert prune(folder, {shard.fingerprint for shard in shards}, dry_run=False) == (0, 0)
    assert names(folder) == before


def test_indexes_go_with_a_shard_that_they_list_and_strangers_files_stay(each_content, shards, tmp_path):
    folder = tmp_path / "cache"
    gone, kept = (build_index(folder, [(name, shard)], each_content) for name, shard in zip("ab", shards, strict=True))
    strangers = [kept.with_name(f"{'0' * 16}.parquet"), kept.with_name("notes.parquet")]
    for file in strangers:
        file.write_bytes(gone.read_bytes())
    prune(folder, {shards[1].fingerprint}, dry_run=True)
    assert names(kept.parent) == {path.name for path in (gone, kept, *strangers)}
    prune(folder, {shards[1].fingerprint}, dry_run=False)
    assert names(kept.parent) == {path.name for path in (kept, *strangers)}


def test_files_that_are_only_called_like_shards_are_left_alone(each_dtype, plans, index):
    theirs = {
        "my-notes-0123456789abcdef.json": b"{}",
        "list-0123456789abcde0.json": b"[1]",
        "thesis-00000000deadbeef.parquet": b"mine",
        "thesis-00000000deadbee0.tfrecord": b"not a record of ours",
    }
    for name, content in theirs.items():
        (index.folder / name).write_bytes(content)
    shards = [index.folder / name for name in index.shards]
    sidecar_path(shards[0]).unlink()  # as if its writing had been broken off
    assert prune(index.folder, set(), dry_run=False)[0] == 3
    assert {name: (index.folder / name).read_bytes() for name in theirs} == theirs
    assert not any(shard.exists() or sidecar_path(shard).exists() for shard in shards)


def test_of_two_shards_that_hold_the_same_both_are_verified(each_dtype, plans, index):
    shard = index.folder / index.shards[0]
    twin = shard.with_name(f"twin-{shard.name.rpartition('-')[2]}")
    for original, copy in ((shard, twin), (sidecar_path(shard), sidecar_path(twin))):
        copy.write_bytes(original.read_bytes())
    for file in (shard, twin):
        flip(file, 100)
    assert len(list(remove_damaged_shards(index.folder))) == 2


def test_a_missing_folder_has_nothing_to_prune(tmp_path):
    assert prune(tmp_path / "none", set(), dry_run=False) == (0, 0)


def test_a_process_that_is_killed_lets_go(tmp_path):
    assert subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False).returncode == 9
    with lock_cache(tmp_path):
        pass


def test_who_comes_second_waits_for_the_first(tmp_path):
    command = [sys.executable, "-c", HELD, str(tmp_path / "cache")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "held\n"
        with subprocess.Popen(command, **pipes) as second:
            assert f"caching songs in {tmp_path / 'cache'}" in second.stderr.readline()
            first.stdin.close()
            assert second.stdout.readline() == "held\n"
            second.stdin.close()


def mended(folder, plans, config):
    """What `flows.cache --verify` does: the lines that it says, and the index."""
    lines = list(remove_damaged_shards(folder))
    shards = [(plan.song, write_shard(plan, config, folder)) for plan in plans]
    return lines, read_index(build_index(folder, shards, config, anew=True), config)


def all_chunks(index):
    return [read_chunk(index, number) for number in range(len(index))]


def assert_equal_chunks(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert (one.number, one.start_s) == (other.number, other.start_s)
        for signal, original in zip(one.signals, other.signals, strict=True):
            np.testing.assert_array_equal(signal.codes, original.codes)


def test_a_flipped_bit_in_the_json_file_is_found_and_mended(each_dtype, plans, index):
    expected, rng = all_chunks(index), np.random.default_rng(1)
    sidecar = sidecar_path(index.folder / index.shards[0])
    written = bytearray(sidecar.read_bytes())
    for place in rng.integers(0, len(written), 100).tolist():
        damaged = bytearray(written)
        damaged[place] ^= 1 << int(rng.integers(8))
        sidecar.write_bytes(damaged)
        columns = read_columns(index.folder / index.shards[0])
        # Spectrograms may have the JSON file of an earlier version, without a checksum.
        assert columns is None or (each_dtype.cache_content == "spectrogram" and b'"crc32c"' not in damaged)
    _, again = mended(index.folder, plans, each_dtype)
    assert_equal_chunks(all_chunks(again), expected)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("scale", lambda value: [2 * value[0], *value[1:]]),
        ("pcm_offset", lambda value: [value[0] + 2, *value[1:]]),
        ("sample_bytes", lambda value: [5 - value[0], *value[1:]]),
        ("block_checksums", lambda value: [[value[0][0] ^ 1, *value[0][1:]], *value[1:]]),
        ("length", lambda value: value - 1),
    ],
)
def test_a_json_file_that_tells_other_things_than_its_shard_is_found_by_verifying(
    each_format, name, change, write_song, tmp_path
):
    config = in_dtype(each_format, "int16")
    plans = [plan_of(write_song("a"), config, num_chunks=2)]
    folder = tmp_path / "cache"
    build_index(folder, [(plan.song, write_shard(plan, config, folder)) for plan in plans], config)
    expected = all_chunks(read_index(folder, config))
    (shard,) = find_shards(folder).values()
    described = json.loads(sidecar_path(shard.path).read_text())
    del described["crc32c"]
    described[name][1] = change(described[name][1])
    text = json.dumps(described, separators=(",", ":"))[:-1]
    sidecar_path(shard.path).write_text(f'{text},"crc32c":{google_crc32c.value(text.encode())}}}')
    lines, index = mended(folder, plans, config)
    assert lines == [f"{shard.path}: chunk(s) 1 damaged; removed, and cached again if needed"]
    assert_equal_chunks(all_chunks(index), expected)


ARRAYS = ("chunk", "offset", "num_bytes", "checksum", "length", "shard")
PCM_ARRAYS = ("scale", "sample_bytes", "pcm_offset", "residual_db")


def everything_in(index):
    arrays = [getattr(index, name).tolist() for name in ARRAYS]
    if index.pcm is not None:
        arrays += [getattr(index.pcm, name).tolist() for name in PCM_ARRAYS]
        lists = index.pcm.block_checksums, index.pcm.levels_db
        arrays += [of_chunk[chunk].tolist() for of_chunk, chunk in product(lists, range(len(index)))]
    return arrays, index.content, index.shards


def test_a_flipped_bit_in_an_index_is_refused_in_one_line_or_changes_nothing_and_is_mended(each_dtype, plans, index):
    expected, rng = all_chunks(index), np.random.default_rng(1)
    (path,) = (index.folder / "indexes").glob("*.parquet")
    written = path.read_bytes()
    errors = []
    for place in rng.integers(0, len(written), 100).tolist():
        damaged = bytearray(written)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            read = read_index(path, each_dtype)
        except DatasetError as error:
            errors.append(str(error))
        else:
            assert everything_in(read) == everything_in(index)
    assert len(errors) > 30
    assert not any("\n" in error for error in errors)
    _, again = mended(index.folder, plans, each_dtype)
    assert path.read_bytes() == written
    assert_equal_chunks(all_chunks(again), expected)
