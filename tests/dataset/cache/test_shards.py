import dataclasses
import errno
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from sepcore.dataset.cache.chunks import song_chunks
from sepcore.dataset.cache.shards import find_shards, read_columns, sidecar_path, write_shard
from sepcore.errors import AudioDecodeError, CacheNotWritable, DatasetError
from sepcore.system.atomic import remove_leftovers
from sepcore.system.os_errors import fix_for
from tests.dataset.cache.conftest import in_dtype, plan_of, shard_of
from tests.dataset.conftest import write_noise_song
from tests.disk import room_for
from tests.raised import raises


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def shard_path(plan, config, folder):
    return folder / f"{plan.song}-{plan.fingerprint}.{config.cache_format}"


@contextmanager
def not_written(number, path):
    """The block ends with an error that says which shard could not be written, why, and what helps."""
    reason = os.strerror(number)
    with raises(CacheNotWritable, reason, path=path, hint=fix_for(OSError(number, reason))) as raised:
        yield
    assert raised.value.errno == number


def test_a_shard_holds_all_chunks_of_a_song_and_says_beside_it_where(each_dtype, write_song, tmp_path):
    shard = shard_of(write_song("song"), each_dtype, tmp_path / "cache", num_chunks=3)
    columns = read_columns(shard.path)
    assert (shard.num_chunks, shard.size, columns["size"]) == (3, shard.path.stat().st_size, shard.size)
    of_waveforms = each_dtype.cache_content == "waveform"
    length = {"num_samples": each_dtype.chunk_samples} if of_waveforms else {"num_frames": each_dtype.chunk_frames}
    assert {name: columns.get(name) for name in length} == {name: [value] * 3 for name, value in length.items()}
    assert (columns["instruments"], columns["length_s"], columns["start_s"][1]) == (["vocals", "drums"], 1.5, 1.25)
    assert sum(columns["num_bytes"]) == shard.size


def test_writing_again_gives_the_same_bytes(each_dtype, write_song, tmp_path):
    row = write_song("song")
    for folder in ("a", "b"):
        shard_of(row, each_dtype, tmp_path / folder, num_chunks=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int24"])
def test_a_chunk_takes_no_more_bytes_than_its_codes_and_one_per_cent(config, write_song, tmp_path, dtype):
    shard = shard_of(write_song("song"), in_dtype(config, dtype), tmp_path / "cache", num_chunks=2)
    values = {
        "uint8": config.chunk_frames * config.num_bins,
        "int16": 2 * config.chunk_samples,
        "int24": 3 * config.chunk_samples,
    }
    codes = 3 * values[dtype] * config.num_channels
    assert shard.size / 2 < 1.01 * codes


def test_a_complete_shard_is_returned_without_decoding_the_song_again(each_content, write_song, tmp_path, monkeypatch):
    plan = plan_of(write_song("song"), each_content, num_chunks=2)
    first = write_shard(plan, each_content, tmp_path)
    monkeypatch.setattr("sepcore.dataset.cache.shards.song_chunks", None)
    assert write_shard(plan, each_content, tmp_path) == first


def test_complete_shards_are_found_by_their_fingerprints(each_format, write_song, tmp_path):
    shards = [shard_of(write_song(name), each_format, tmp_path / "cache", num_chunks=1) for name in ("a", "b-c")]
    assert find_shards(tmp_path / "cache") == {shard.fingerprint: shard for shard in shards}


def test_a_song_that_was_renamed_moved_and_touched_is_found_again(config, write_song, tmp_path):
    row = write_song("song")
    shard = shard_of(row, config, tmp_path / "cache", num_chunks=2)
    os.utime(row.mixture)
    moved = shutil.move(row.mixture, tmp_path / "new name.wav")
    plan = plan_of(dataclasses.replace(row, name="new name", mixture=moved), config, num_chunks=2)
    assert find_shards(tmp_path / "cache") == {plan.fingerprint: shard}


def test_another_segment_length_finds_the_shards(config, write_song, tmp_path):
    row = write_song("song")
    shard = shard_of(row, config, tmp_path / "cache", num_chunks=2)
    plan = plan_of(row, config.model_copy(update={"segment_frames": 32}), num_chunks=2)
    assert find_shards(tmp_path / "cache")[plan.fingerprint] == shard


def test_changing_one_recording_asks_for_one_shard(config, write_song, tmp_path):
    rows = [write_song(name) for name in ("a", "b", "c")]
    for row in rows:
        shard_of(row, config, tmp_path / "cache", num_chunks=2)
    shutil.copy(rows[0].mixture, rows[1].mixture)
    plans = [plan_of(row, config, num_chunks=2) for row in rows]
    found = find_shards(tmp_path / "cache")
    assert [plan.fingerprint in found for plan in plans] == [True, False, True]


def test_no_folder_has_no_shards(tmp_path):
    assert find_shards(tmp_path / "none") == {}


def test_other_files_are_no_shards(config, tmp_path):
    for name in ("index.parquet", "song-0123456789abcdef.tfrecord", "notes-0123456789abcdef.json", "x.json"):
        (tmp_path / name).write_text("{}")
    assert find_shards(tmp_path) == {}


@pytest.mark.parametrize("part", ["shard", "JSON"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_half_of_what_belongs_to_a_shard_is_not_taken_for_it(each_content, write_song, tmp_path, part, damage):
    plan = plan_of(write_song("song"), each_content, num_chunks=1)
    path = write_shard(plan, each_content, tmp_path / "cache").path
    whole = contents(tmp_path / "cache")
    damaged = path if part == "shard" else sidecar_path(path)
    if damage == "cut":
        damaged.write_bytes(damaged.read_bytes()[:-1])
    else:
        damaged.unlink()
    assert find_shards(tmp_path / "cache") == {}
    write_shard(plan, each_content, tmp_path / "cache")
    assert contents(tmp_path / "cache") == whole


def test_a_shard_under_another_fingerprint_than_its_own_is_not_taken(config, write_song, tmp_path):
    path = shard_of(write_song("song"), config, tmp_path / "cache", num_chunks=1).path
    for part in (path, sidecar_path(path)):
        part.rename(part.with_name(f"song-0123456789abcdef{part.suffix}"))
    assert find_shards(tmp_path / "cache") == {}


def test_a_song_shorter_than_a_frame_leaves_an_empty_shard(each_format, write_song, tmp_path):
    plan = plan_of(write_song("jingle", duration_s=0.05), each_format, num_chunks=2)
    shard = write_shard(plan, each_format, tmp_path / "cache")
    assert shard.num_chunks == 0
    assert find_shards(tmp_path / "cache") == {plan.fingerprint: shard}


def test_names_that_file_systems_mind_are_replaced(config, write_song, tmp_path):
    row = dataclasses.replace(write_song("song"), name="AC/DC: ‘Señor’ " + "very " * 80)
    shard = shard_of(row, config, tmp_path / "cache", num_chunks=1)
    assert shard.path.name.startswith("AC_DC_Señor_very_very")
    assert len(shard.path.name) < 100
    assert find_shards(tmp_path / "cache") == {shard.fingerprint: shard}


def test_a_file_that_vanished_since_the_check_is_named(config, write_song, tmp_path):
    row = write_song("song")
    plan = plan_of(row, config, num_chunks=1)
    row.mixture.unlink()
    with raises(DatasetError, "mix", "'song'", "disappeared", path=row.mixture):
        write_shard(plan, config, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("content", ["another recording", "no audio"])
@pytest.mark.parametrize("when", ["before", "while it is decoded"])
def test_a_file_that_changed_since_the_check_is_named(config, write_song, tmp_path, monkeypatch, content, when):
    row, other = write_song("song"), write_song("other")
    plan = plan_of(row, config, num_chunks=1)

    def change(*_):
        row.mixture.write_bytes(other.mixture.read_bytes() if content == "another recording" else b"no audio")

    if when == "before":
        change()
    else:

        def chunks(*args):
            change()
            return song_chunks(*args)

        monkeypatch.setattr("sepcore.dataset.cache.shards.song_chunks", chunks)
    with raises(DatasetError, "mix", "'song'", "changed", path=row.mixture):
        write_shard(plan, config, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_song_that_cannot_be_decoded_to_its_end_leaves_nothing_behind(each_format, write_song, tmp_path, monkeypatch):
    plan = plan_of(write_song("song"), each_format, num_chunks=3)

    def chunks(*args):
        yield next(song_chunks(*args))
        raise AudioDecodeError("the decoder gave up", path="mix.wav")

    monkeypatch.setattr("sepcore.dataset.cache.shards.song_chunks", chunks)
    with pytest.raises(AudioDecodeError):
        write_shard(plan, each_format, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("room", ["none", "for a chunk", "for all but a byte"])
def test_a_full_disk_is_said_and_nothing_is_left(each_content, write_song, tmp_path, room):
    plan = plan_of(write_song("song"), each_content, num_chunks=3)
    write_shard(plan, each_content, tmp_path / "whole")
    (tmp_path / "cache").mkdir()
    (size,) = (path.stat().st_size for path in (tmp_path / "whole").iterdir() if path.suffix != ".json")
    with (
        room_for({"none": 0, "for a chunk": size // 2, "for all but a byte": size - 1}[room]),
        not_written(errno.EFBIG, shard_path(plan, each_content, tmp_path / "cache")),
    ):
        write_shard(plan, each_content, tmp_path / "cache")
    assert contents(tmp_path / "cache") == {}
    write_shard(plan, each_content, tmp_path / "cache")
    assert contents(tmp_path / "cache") == contents(tmp_path / "whole")


@pytest.mark.parametrize("step", ["os.fsync", "sepcore.dataset.cache.shards._write_columns"])
def test_a_disk_that_is_full_at_the_end_is_said_and_nothing_is_left(config, write_song, tmp_path, monkeypatch, step):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    plan = plan_of(write_song("song"), config, num_chunks=1)
    monkeypatch.setattr(step, full)
    with not_written(errno.ENOSPC, shard_path(plan, config, tmp_path / "cache")):
        write_shard(plan, config, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOSPC])
def test_an_error_of_reading_is_none_of_the_shard(config, write_song, tmp_path, monkeypatch, number):
    refused = OSError(number, os.strerror(number), "vocals.wav")

    def broken(*_, **__):
        raise refused

    plan = plan_of(write_song("song"), config, num_chunks=1)
    monkeypatch.setattr("sepcore.dataset.cache.chunks.read_blocks", broken)
    hint = fix_for(refused, reading=True)
    with raises(AudioDecodeError, "'song'", os.strerror(number), path="vocals.wav", hint=hint) as raised:
        write_shard(plan, config, tmp_path / "cache")
    assert raised.value.errno == number
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_cannot_be_written_is_named(config, write_song, tmp_path):
    plan = plan_of(write_song("song"), config, num_chunks=1)
    (tmp_path / "cache").write_text("a file")
    with not_written(errno.EEXIST, shard_path(plan, config, tmp_path / "cache")):
        write_shard(plan, config, tmp_path / "cache")


_KILLED = """
import os, sys
from pathlib import Path
from sepcore.config.load import parse_config
from sepcore.dataset.cache import shards
from tests.dataset.cache.conftest import plan_of
from tests.dataset.conftest import write_noise_song

config = parse_config(sys.stdin.read(), "test")
folder = Path(sys.argv[1])
plan = plan_of(write_noise_song(folder / "songs", config, "song"), config, num_chunks=3)
kill = lambda: os._exit(9)  # nothing is cleared up, as after kill -9

def chunks_until(last):
    for chunk in chunks(plan, config):
        if chunk.number == last:
            kill()
        yield chunk

def rename_one():
    rename = Path.replace
    done = []
    def replace(path, target):
        kill() if done else done.append(rename(path, target))
    Path.replace = replace

chunks = shards.song_chunks
moments = {
    "first chunk": lambda: setattr(shards, "song_chunks", lambda *_: chunks_until(0)),
    "last chunk": lambda: setattr(shards, "song_chunks", lambda *_: chunks_until(2)),
    "flush": lambda: setattr(os, "fsync", lambda _: kill()),
    "between the renames": rename_one,
}
for moment, prepare in moments.items():
    if not (child := os.fork()):
        prepare()
        shards.write_shard(plan, config, folder / moment)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
"""


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_a_killed_process_leaves_no_part_of_a_shard_that_is_taken_for_one(config, tmp_path, dtype):
    config = in_dtype(config, dtype)
    subprocess.run([sys.executable, "-c", _KILLED, tmp_path], input=config.to_json(), text=True, check=True)
    plan = plan_of(write_noise_song(tmp_path / "songs", config, "song"), config, num_chunks=3)
    write_shard(plan, config, tmp_path / "uninterrupted")
    for moment in ("first chunk", "last chunk", "flush", "between the renames"):
        assert list((tmp_path / moment).iterdir()), moment
        assert find_shards(tmp_path / moment) == {}
        remove_leftovers(tmp_path / moment)
        write_shard(plan, config, tmp_path / moment)
        assert contents(tmp_path / moment) == contents(tmp_path / "uninterrupted")
