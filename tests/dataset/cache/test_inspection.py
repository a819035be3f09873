import dataclasses

import numpy as np
import pytest
import soundfile
from PIL import Image

from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunks import song_chunks
from sepcore.dataset.cache.comparison import SignalComparison, compare_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.inspection import chunk_row, save_picture
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import in_dtype, plan_of, shard_of
from tests.raised import raises

SONGS = ["Ada - Ferry", "Bram - Window", "Cleo - Hollow Window"]


def rewrite(path, change):
    waveform, rate = soundfile.read(path, dtype="int16", always_2d=True)
    soundfile.write(path, change(waveform), rate)


@pytest.mark.parametrize(("dtype", "rounding_db"), [("uint8", 0.2), ("float16", 0.0053)])
def test_of_unchanged_recordings_only_the_rounding_is_seen(config, write_song, dtype, rounding_db):
    config = config.model_copy(update={"cache_dtype": dtype})
    row = write_song("song")
    *_, last = song_chunks(plan_of(row, config, num_chunks=3), config)
    compared = compare_chunk(last, row, config)
    assert [signal.name for signal in compared] == ["mixture", "vocals", "drums"]
    for signal in compared:
        assert signal.cached_db.shape == signal.recomputed_db.shape == (last.length, 128, 2)
        assert 0 < signal.rms_db < signal.largest_db <= signal.rounding_db < rounding_db
        assert "all of it rounding" in signal.summary


def test_resampled_recordings_give_the_cached_samples_again(config, write_song):
    row = write_song("song")
    for path in row.files:
        waveform, _ = soundfile.read(path, dtype="int16")
        soundfile.write(path, waveform, 11_025)
    row = dataclasses.replace(row, duration_s=2.9)
    *_, last = song_chunks(plan_of(row, config, num_chunks=3), config)
    assert last.start_s > 0
    assert all("all of it rounding" in signal.summary for signal in compare_chunk(last, row, config))


def test_a_recording_that_has_changed_since_is_told(config, write_song):
    row = write_song("song")
    (chunk,) = song_chunks(plan_of(row, config, num_chunks=1), config)
    rewrite(row.files[2], lambda waveform: waveform // 2)
    mixture, vocals, drums = compare_chunk(chunk, row, config)
    assert "all of it rounding" in mixture.summary
    assert "all of it rounding" in vocals.summary
    assert "it was cached from other audio" in drums.summary
    assert drums.rms_db == pytest.approx(6.02, abs=0.1)


def test_a_recording_that_has_become_too_short_is_named(config, write_song):
    row = write_song("song")
    (chunk,) = song_chunks(plan_of(row, config, num_chunks=1), config)
    rewrite(row.files[1], lambda waveform: waveform[:16_000])
    with raises(DatasetError, "1.25 s", path=row.files[1]):
        compare_chunk(chunk, row, config)


@pytest.mark.parametrize("dtype", ["int16", "int24"])
def test_of_waveforms_the_samples_are_compared(config, write_song, tmp_path, dtype):
    config = in_dtype(config, dtype)
    row = write_song("song")
    (chunk,) = song_chunks(plan_of(row, config, num_chunks=1), config)
    rewrite(row.files[2], lambda waveform: waveform // 2)
    mixture, vocals, drums = compare_chunk(chunk, row, config)
    assert vocals.cached_db.shape == (config.chunk_frames, 128, 2)
    assert (vocals.largest_db, mixture.rms_error) == (0, 0)
    for sound in (mixture, vocals):
        assert "at most 0 steps" in sound.summary
        assert "all of it rounding" in sound.summary
    assert "it was cached from other audio" in drums.summary
    assert drums.rms_db == pytest.approx(6.02, abs=0.1)
    save_picture(tmp_path / "picture.png", [mixture, drums], config, title="A song", start_s=1.0)
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_rounded_waveforms_are_within_half_a_step(config, write_song, tmp_path):
    config, row = in_dtype(config, "int16"), write_song("song")
    for path in row.files:
        quiet = np.random.default_rng(0).uniform(-1e-4, 1e-4, (32_000, 2))
        soundfile.write(path, quiet, config.sample_rate, subtype="FLOAT")
    (chunk,) = song_chunks(plan_of(row, config, num_chunks=1), config)
    compared = compare_chunk(chunk, row, config)
    for signal in compared:
        assert "all of it rounding" in signal.summary
        assert 0.9 < signal.largest_error / signal.half_step <= 1
        assert signal.rms_error == pytest.approx(2 * signal.half_step / 12**0.5, rel=0.05)
    save_picture(tmp_path / "picture.png", compared[:1], config, title="All of it noise", start_s=1.0)


def test_silence_equals_silence(config, write_song):
    row = write_song("song")
    rewrite(row.files[1], np.zeros_like)
    (chunk,) = song_chunks(plan_of(row, config, num_chunks=1), config)
    vocals = compare_chunk(chunk, row, config)[1]
    assert (vocals.largest_db, vocals.rms_db, vocals.loudest_db) == (0, 0, pytest.approx(-180))


def test_below_the_range_only_what_the_cache_puts_into_it_counts():
    recomputed_db = np.float32([0, -50, -120, -120]).reshape(1, 4, 1)
    cached_db = np.float32([0.1, -50.1, -100, -60]).reshape(1, 4, 1)
    signal = SignalComparison("vocals", cached_db, recomputed_db, rounding_db=0.2)
    np.testing.assert_allclose(signal.difference_db[0, :, 0], [0.1, -0.1, np.nan, 60], atol=1e-5)
    assert signal.largest_db == 60


@pytest.fixture
def comparisons(config):
    rng = np.random.default_rng(0)
    magnitudes_db = rng.uniform(-80, 20, (3, 90, config.num_bins, 2)).astype(np.float32)
    return [
        SignalComparison(name, decibels, decibels + np.float32(0.1), rounding_db=0.2)
        for name, decibels in zip(("mixture", *config.instruments), magnitudes_db, strict=True)
    ]


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), float)


def test_a_signal_more_makes_the_picture_a_row_higher(tmp_path, config, comparisons):
    for number in (1, 3):
        save_picture(tmp_path / "new" / f"{number}.png", comparisons[:number], config, title="A song", start_s=1.0)
    one, three = (pixels(tmp_path / "new" / f"{number}.png") for number in (1, 3))
    assert one.shape[1] == three.shape[1]
    assert three.shape[0] > 2 * one.shape[0] - 100
    assert [path.name for path in sorted((tmp_path / "new").iterdir())] == ["1.png", "3.png"]


def test_a_fault_stands_out_where_it_is_and_rounding_does_not(tmp_path, config, comparisons):
    def reddish(comparison):
        save_picture(tmp_path / "picture.png", [comparison], config, title="A song", start_s=1.0)
        red, green, _ = pixels(tmp_path / "picture.png")[60:-60, -480:-100].transpose(2, 0, 1)
        return np.argwhere(red - green > 100)

    sound = comparisons[0]
    assert not len(reddish(sound))
    cached_db = sound.cached_db.copy()
    cached_db[:30, :40] += 20
    places = reddish(SignalComparison("mixture", cached_db, sound.recomputed_db, rounding_db=0.2))
    assert places[:, 0].mean() > 60  # the low frequencies are below
    assert 20 < places[:, 1].mean() < 120  # the first third


@pytest.mark.parametrize("title", ["日本 – $x_{", "$\\frac$", "", "🎵 " + "long " * 60])
def test_any_title_can_be_drawn(tmp_path, config, comparisons, title):
    save_picture(tmp_path / "picture.png", comparisons[:1], config, title=title, start_s=0.0)
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.fixture
def index_of_three(config, write_song, tmp_path):
    shards = [(song, shard_of(write_song(song), config, tmp_path, num_chunks=2)) for song in SONGS]
    build_index(tmp_path, shards, config)
    return read_index(tmp_path, config)


def test_a_row_is_found_by_song_and_chunk_or_by_its_number(index_of_three):
    for song, chunk, row in [("Ada - Ferry", 0, 0), ("Bram - Window", 1, 3), ("Cleo - Hollow Window", 1, 5)]:
        assert chunk_row(index_of_three, song=song, chunk=chunk) == chunk_row(index_of_three, row=row) == row
        assert (index_of_three.row(row)["song"], index_of_three.row(row)["chunk"]) == (song, chunk)


def test_what_is_not_said_is_the_first(index_of_three):
    assert chunk_row(index_of_three) == 0
    assert chunk_row(index_of_three, song="Bram - Window") == 2


@pytest.mark.parametrize(
    ("asked", "songs", "hint"),
    [
        ({"song": "hollow"}, SONGS[2:], "?"),
        ({"song": "Window"}, SONGS[1:], "?"),
        ({"song": "Ada - Fery"}, SONGS[:1], "?"),
        ({"song": "xyz"}, SONGS[:1], "3"),
        ({"song": "Ada - Ferry", "chunk": 2}, [], "0, 1"),
        ({"row": 6}, [], "0 to 5"),
        ({"row": -1}, [], "0 to 5"),
    ],
)
def test_what_is_not_in_the_index_is_answered_with_what_is(index_of_three, asked, songs, hint):
    with raises(DatasetError, *asked.values(), path=index_of_three.path, hint=hint) as raised:
        chunk_row(index_of_three, **asked)
    assert [song for song in SONGS if f'"{song}"' in raised.value.hint] == songs
    assert "\n" not in str(raised.value)
