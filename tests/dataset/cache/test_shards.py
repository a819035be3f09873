import dataclasses

import pytest

from sepcore.dataset.cache.fingerprint import song_fingerprint
from sepcore.dataset.cache.shards import read_records, write_shard
from sepcore.errors import AudioDecodeError, DatasetError


def test_a_shard_holds_a_record_a_chunk_that_tensorflow_reads_and_the_rows_point_into_it(config, write_song, tmp_path):
    import tensorflow as tf

    shard = write_shard(write_song("song"), config, tmp_path, num_chunks=3)
    assert (shard.song, shard.num_chunks, shard.num_dropped, shard.reused) == ("song", 3, 0, False)
    examples = [record.numpy() for record in tf.data.TFRecordDataset(str(shard.path))]
    content = shard.path.read_bytes()
    rows = read_records(shard)
    assert [content[row.offset + 12 : row.offset + row.num_bytes - 4] for row in rows] == examples
    assert [content[row.offset + row.num_bytes - 4 :][:4] for row in rows] == [
        row.checksum.to_bytes(4, "little") for row in rows
    ]
    features = tf.train.Example.FromString(examples[0]).features.feature
    assert list(features["signals"].bytes_list.value) == [b"mix", b"vocals", b"drums"]
    assert list(features["shape"].int64_list.value) == [config.chunk_frames, 128, 2]
    assert len(features["codes"].bytes_list.value[2]) == config.chunk_frames * 128 * 2


def test_writing_again_gives_the_same_bytes(config, write_song, tmp_path):
    row = write_song("song")
    first = write_shard(row, config, tmp_path / "a", num_chunks=2)
    second = write_shard(row, config, tmp_path / "b", num_chunks=2)
    assert first.path.name == second.path.name
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.path.with_suffix(".json").read_bytes() == second.path.with_suffix(".json").read_bytes()


def test_a_complete_shard_is_returned_without_decoding_the_song_again(config, write_song, tmp_path, monkeypatch):
    row = write_song("song")
    first = write_shard(row, config, tmp_path, num_chunks=2)
    monkeypatch.setattr("sepcore.dataset.cache.shards.compute_chunks", None)
    again = write_shard(row, config, tmp_path, num_chunks=2)
    assert again == dataclasses.replace(first, reused=True)
    assert read_records(again) == read_records(first)


@pytest.mark.parametrize("suffix", [".json", ".tfrecord"])
def test_half_of_what_belongs_to_a_shard_is_not_taken_for_it(config, write_song, tmp_path, suffix):
    row = write_song("song")
    path = write_shard(row, config, tmp_path, num_chunks=1).path
    whole = path.read_bytes()
    damaged = path.with_suffix(suffix)
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert not write_shard(row, config, tmp_path, num_chunks=1).reused
    assert path.read_bytes() == whole


def test_a_song_too_short_for_any_chunk_leaves_an_empty_shard_that_is_not_computed_again(config, write_song, tmp_path):
    row = write_song("jingle", duration_s=0.5)
    shard = write_shard(row, config, tmp_path, num_chunks=2)
    assert (shard.num_chunks, shard.num_dropped) == (0, 2)
    assert write_shard(row, config, tmp_path, num_chunks=2).reused


def test_names_that_file_systems_mind_are_replaced(config, write_song, tmp_path):
    row = dataclasses.replace(write_song("song"), name="AC/DC: ‘Señor’ " + "very " * 80)
    path = write_shard(row, config, tmp_path, num_chunks=1).path
    assert path.name.startswith("AC_DC_Señor_very_very")
    assert len(path.name) < 100


def test_a_failed_song_leaves_nothing_behind(config, write_song, tmp_path):
    row = write_song("song")
    row.mixture.write_bytes(b"no audio")
    with pytest.raises(AudioDecodeError):
        write_shard(row, config, tmp_path / "cache", num_chunks=1)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_a_folder_that_cannot_be_written_is_named(config, write_song, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DatasetError, match="the shard cannot be written"):
        write_shard(write_song("song"), config, tmp_path / "cache", num_chunks=1)


def test_the_fingerprint_is_of_what_the_audio_is_and_not_of_where_it_lies(config, write_song):
    row = write_song("song")
    moved = row.mixture.rename(row.mixture.with_name("renamed.wav"))
    same = song_fingerprint(dataclasses.replace(row, mixture=moved), config, num_chunks=1)
    moved.rename(row.mixture)
    assert song_fingerprint(row, config, num_chunks=1) == same


def test_the_fingerprint_changes_with_audio_duration_chunks_and_settings(config, write_song):
    row = write_song("song")
    settings = {"hop_length": 64, "num_bins": 64, "instruments": ("drums", "vocals"), "chunk_duration_s": 2.0}
    found = {song_fingerprint(row, config, num_chunks=1), song_fingerprint(row, config, num_chunks=2)}
    found.add(song_fingerprint(dataclasses.replace(row, duration_s=3.9), config, num_chunks=1))
    for key, value in settings.items():
        found.add(song_fingerprint(row, config.model_copy(update={key: value}), num_chunks=1))
    content = bytearray(row.stems[1][1].read_bytes())
    content[-1] ^= 1
    row.stems[1][1].write_bytes(content)
    found.add(song_fingerprint(row, config, num_chunks=1))
    assert len(found) == 4 + len(settings)


def test_the_fingerprint_does_not_change_with_what_only_training_sees(config, write_song):
    row = write_song("song")
    other = config.model_copy(update={"batch_size": 8, "learning_rate": 0.1, "random_seed": 1})
    assert song_fingerprint(row, config, num_chunks=1) == song_fingerprint(row, other, num_chunks=1)


def test_a_file_that_has_gone_since_the_manifest_was_read_is_named(config, write_song, tmp_path):
    row = write_song("song")
    row.mixture.unlink()
    with pytest.raises(DatasetError, match=r"song: .*mix\.wav cannot be read \(No such file"):
        write_shard(row, config, tmp_path, num_chunks=1)
