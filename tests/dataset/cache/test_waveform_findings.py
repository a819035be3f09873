import dataclasses

import numpy as np
import pytest
import soundfile

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import ChunkReader
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.waveform_findings import beyond_full_scale, songs_that_do_not_add_up
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import in_dtype, shard_of
from tests.raised import raises


@pytest.fixture
def waveform_config(config):
    return in_dtype(config, "int16").model_copy(update={"augmentation": AugmentationConfig(remix=0.5)})


def scaled(row, signal, factor):
    """The row with one recording at another level, as floats."""
    path = row.files[signal]
    waveform, rate = soundfile.read(path, dtype="float32")
    soundfile.write(path, waveform * np.float32(factor), rate, subtype="FLOAT")
    return row


def cached(rows, config, folder, num_chunks="all"):
    shards = [(row.name, shard_of(row, config, folder, num_chunks=num_chunks)) for row in rows]
    build_index(folder, shards, config)
    return shards, read_index(folder, config)


def test_signals_beyond_full_scale_are_named_and_stored_as_they_are(waveform_config, write_song, tmp_path):
    rows = [write_song("a"), scaled(scaled(write_song("b"), 1, 15.0), 0, 9.0), write_song("c")]
    shards, index = cached(rows, waveform_config, tmp_path, num_chunks=1)
    (line,) = beyond_full_scale(shards)
    assert "1 song(s)" in line
    assert "'b' (mixture, vocals)" in line
    vocals = soundfile.read(rows[1].files[1], dtype="float32")[0]
    start = round(index.row(1)["start_s"] * 8000)
    stored = ChunkReader(index, waveform_config).read(1, 0, int(index.length[1]), slice(1, 2))[0]
    np.testing.assert_allclose(stored, vocals[start : start + len(stored)], atol=2.0**-16, rtol=0)
    assert np.abs(stored).max() > 1.3
    assert index.pcm.sample_bytes[1].tolist() == [3, 3, 2]


def test_songs_within_full_scale_need_no_line(waveform_config, config, write_song, tmp_path):
    for number, settings in enumerate((waveform_config, config)):
        shards, _ = cached([write_song("a")], settings, tmp_path / str(number))
        assert list(beyond_full_scale(shards)) == []


def test_integers_in_a_file_of_floats_are_refused_and_named(waveform_config, write_song, tmp_path):
    row = scaled(write_song("a"), 2, 32_768)
    with raises(DatasetError, "drums", "'a'", "256", path=row.files[2], hint="floats"):
        cached([row], waveform_config, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_mixture_that_is_not_the_sum_of_its_stems_is_named_where_remixing_is_on(
    waveform_config, write_song, tmp_path
):
    rows = [write_song("a"), scaled(write_song("b"), 1, 0.1), write_song("c")]
    _, index = cached(rows, waveform_config, tmp_path)
    (line,) = songs_that_do_not_add_up(index, waveform_config)
    # Nine tenths of one of two stems of equal power are missing.
    assert "1 training song(s)" in line
    assert "'b' (-3.9 dB)" in line
    for keys in ({}, {"activity": 1.0}):
        off = waveform_config.model_copy(update={"augmentation": AugmentationConfig(**keys)})
        assert list(songs_that_do_not_add_up(index, off)) == []
    for keys in ({"gain_db": 1.0}, {"polarity": True}, {"channel_swap": True}, {"time_shift_s": 0.1}):
        on = waveform_config.model_copy(update={"augmentation": AugmentationConfig(**keys)})
        (line,) = songs_that_do_not_add_up(index, on)
        assert f"augmentation has {next(iter(keys))}, " in line


def test_silent_songs_and_spectrograms_add_up(waveform_config, config, write_song, tmp_path):
    silent = write_song("a")
    for signal in range(3):
        scaled(silent, signal, 0.0)
    _, index = cached([silent, write_song("b")], waveform_config, tmp_path / "waveforms")
    assert list(songs_that_do_not_add_up(index, waveform_config)) == []
    remixed = config.model_copy(update={"augmentation": AugmentationConfig(remix=1.0)})
    _, index = cached([scaled(write_song("c"), 1, 0.1)], remixed, tmp_path / "spectrograms")
    assert list(songs_that_do_not_add_up(index, remixed)) == []


def test_songs_that_share_a_shard_are_read_as_one(waveform_config, write_song, tmp_path):
    row = scaled(write_song("b"), 1, 0.1)
    _, index = cached([write_song("a"), row, dataclasses.replace(row, name="d")], waveform_config, tmp_path)
    (line,) = songs_that_do_not_add_up(index, waveform_config)
    assert "'b' (-3.9 dB)" in line
