import dataclasses
import subprocess
import tracemalloc

import numpy as np
import pytest
import scipy.signal

from sepcore.dataset.cache.chunks import decode, encode, song_chunks
from sepcore.errors import AudioDecodeError
from sepcore.signal.audio_reader import read_blocks, read_waveform
from tests.dataset.cache.conftest import in_dtype, plan_of
from tests.raised import raises


def scipys_magnitude(waveform, config):
    """An independent transform in double precision: ``(frames, bins, channels)``."""
    window = scipy.signal.get_window("hann", config.frame_length)
    _, _, spectrum = scipy.signal.stft(
        waveform.astype(np.float64),
        window=window,
        nperseg=config.frame_length,
        noverlap=config.frame_length - config.hop_length,
        boundary=None,
        padded=False,
        axis=0,
    )
    return np.abs(spectrum * window.sum()).transpose(2, 0, 1)[:, : config.num_bins]


def assert_equal(chunk, expected):
    assert (chunk.number, chunk.start_s) == (expected.number, expected.start_s)
    for signal, other in zip(chunk.signals, expected.signals, strict=True):
        np.testing.assert_array_equal(signal.codes, other.codes)
        assert (signal.min_db, signal.max_db) == (other.min_db, other.max_db)


def convert(path, target, *options):
    subprocess.run(["ffmpeg", "-v", "error", "-i", path, *options, target], check=True)
    return target


@pytest.mark.parametrize(("dtype", "error_db"), [("uint8", 0.4), ("float16", 0.05)])
def test_chunks_are_within_quantization_of_an_independent_transform_over_100_db(config, write_song, dtype, error_db):
    config = config.model_copy(update={"cache_dtype": dtype})
    row = write_song("song")
    for chunk in song_chunks(plan_of(row, config, num_chunks=3), config):
        for signal, path in zip(chunk.signals, row.files, strict=True):
            waveform = read_waveform(path, sample_rate=config.sample_rate, num_channels=2)
            start = round(chunk.start_s * config.sample_rate)
            expected = scipys_magnitude(waveform[start : start + config.chunk_samples], config)
            assert signal.codes.shape == expected.shape == (config.chunk_frames, 128, 2)
            heard = expected > expected.max() * 1e-5
            assert np.abs(20 * np.log10(signal.magnitude()[heard] / expected[heard])).max() < error_db


def test_chunks_come_in_the_order_of_their_starts_and_overlap(config, write_song):
    chunks = list(song_chunks(plan_of(write_song("song"), config, num_chunks=9), config))
    assert [chunk.number for chunk in chunks] == list(range(9))
    assert np.diff([chunk.start_s for chunk in chunks]) == pytest.approx(1.5 / 8, abs=1e-3)


@pytest.mark.parametrize("kind", ["wav", "mp3", "48 kHz"])
def test_chunks_do_not_depend_on_how_files_are_cut_into_blocks(config, write_song, tmp_path, kind):
    row = write_song("song", duration_s=2.5)
    if kind == "mp3":
        row = dataclasses.replace(row, mixture=convert(row.mixture, tmp_path / "mix.mp3"))
    if kind == "48 kHz":
        row = dataclasses.replace(row, mixture=convert(row.mixture, tmp_path / "mix.wav", "-ar", "48000"))
    plan = plan_of(row, config, num_chunks=4)
    whole = list(song_chunks(plan, config, block_samples=10**6))
    assert len(whole) == 4
    for block_samples in (99, 12_000):
        for chunk, expected in zip(song_chunks(plan, config, block_samples=block_samples), whole, strict=True):
            assert_equal(chunk, expected)
    samples = read_waveform(row.mixture, sample_rate=config.sample_rate, num_channels=2)
    expected = scipys_magnitude(samples[plan.starts[2] : plan.starts[2] + config.chunk_samples], config)
    heard = expected > expected.max() * 1e-5
    assert np.abs(20 * np.log10(whole[2].signals[0].magnitude()[heard] / expected[heard])).max() < 0.4


def test_every_file_is_decoded_once(config, write_song, monkeypatch):
    opened = []

    def counting(path, **settings):
        opened.append(path)
        return read_blocks(path, **settings)

    row = write_song("song")
    monkeypatch.setattr("sepcore.dataset.cache.chunks.read_blocks", counting)
    list(song_chunks(plan_of(row, config, num_chunks=20), config))
    assert opened == list(row.files)


def test_memory_depends_neither_on_the_songs_length_nor_on_the_number_of_chunks(config, write_song):
    def peak(duration_s, num_chunks):
        plan = plan_of(write_song(f"{duration_s} s", duration_s=duration_s), config, num_chunks=num_chunks)
        tracemalloc.start()
        for _ in song_chunks(plan, config, block_samples=8000):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(60.0, 50) < 1.25 * peak(6.0, 5)


def test_signals_are_cut_to_the_shortest(config, write_song):
    row = write_song("song", duration_s=2.0)
    short = write_song("short", duration_s=1.4)
    mixed = dataclasses.replace(row, stems=(row.stems[0], short.stems[1]))
    (chunk,) = song_chunks(plan_of(mixed, config, num_chunks=1), config)
    shortest = int(1 + (1.4 * 8000 - 512) // 128)
    assert {len(signal.codes) for signal in chunk.signals} == {shortest}


def test_chunks_that_end_with_the_song_are_kept_down_to_one_frame(config, write_song):
    plan = plan_of(write_song("song", duration_s=2.07), config, num_chunks=2)
    plan = dataclasses.replace(plan, starts=(0, 6000, 12_000, 16_000))
    frames = [chunk.length for chunk in song_chunks(plan, config)]
    whole = [1 + (min(12_000, 16_560 - start) - 512) // 128 for start in plan.starts]
    assert frames == whole
    assert frames[0] == config.chunk_frames
    assert frames[-1] == 1


def test_waveforms_are_kept_down_to_a_sample(config, write_song):
    plan = plan_of(write_song("song", duration_s=2.07), in_dtype(config, "int16"), num_chunks=2)
    plan = dataclasses.replace(plan, starts=(0, 16_559, 16_560))
    assert [chunk.length for chunk in song_chunks(plan, in_dtype(config, "int16"))] == [12_000, 1]


def test_a_song_shorter_than_a_frame_has_none(config, write_song):
    assert list(song_chunks(plan_of(write_song("song", duration_s=0.05), config, num_chunks=2), config)) == []


def test_a_file_that_cannot_be_decoded_is_named(config, write_song):
    row = write_song("song")
    plan = plan_of(row, config, num_chunks=1)
    row.stems[0][1].write_bytes(b"no audio at all")
    with raises(AudioDecodeError, path=row.stems[0][1]):
        list(song_chunks(plan, config))


@pytest.fixture
def magnitude():
    """Magnitudes spread over 100 dB, as music's are."""
    return (10 ** np.random.default_rng(0).uniform(-4, 1, (50, 40, 2))).astype(np.float32)


def decibels(magnitude):
    return 20 * np.log10(magnitude)


def test_magnitudes_come_back_within_half_a_step_of_the_100_db_range(magnitude):
    restored = decode(*encode(magnitude))
    assert restored.dtype == np.float32
    assert np.abs(decibels(restored) - decibels(magnitude)).max() < 0.2


def test_rounding_is_closer_than_spleeters_truncation(magnitude):
    codes, min_db, max_db = encode(magnitude)
    truncated = np.floor((decibels(magnitude) - min_db) / (max_db - min_db) * 255.9999) / 255.9999
    truncated = 10 ** ((truncated * (max_db - min_db) + min_db) / 20)
    rounded_error = np.square(decode(codes, min_db, max_db) - magnitude).mean()
    assert rounded_error < 0.4 * np.square(truncated - magnitude).mean()


def test_what_is_more_than_100_db_below_the_loudest_bin_is_raised_to_that(magnitude):
    codes, min_db, max_db = encode(np.append(magnitude, np.float32(1e-8)))
    assert codes[-1] == 0
    assert max_db - min_db == pytest.approx(100, abs=1e-3)


def test_the_whole_range_of_codes_is_used(magnitude):
    codes, _, _ = encode(magnitude)
    assert (codes.dtype, codes.min(), codes.max()) == (np.uint8, 0, 255)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_silence_stays_silent(dtype):
    restored = decode(*encode(np.zeros((4, 3, 2), np.float32), dtype))
    assert np.isfinite(restored).all()
    assert restored.max() <= 1e-9


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_a_constant_comes_back_as_it_was(dtype):
    np.testing.assert_allclose(decode(*encode(np.full(5, 0.25, np.float32), dtype)), 0.25, rtol=2e-6)


@pytest.mark.parametrize("level", [1e-4, 1, 1e5])
def test_float16_is_close_down_to_150_db_below_the_loudest_bin_whatever_its_level(level):
    magnitude = (level * 10 ** np.linspace(0, -7.5, 5000)).astype(np.float32)
    codes, min_db, max_db = encode(magnitude, "float16")
    assert codes.dtype == np.dtype("<f2")
    assert codes.min() > np.finfo(np.float16).smallest_normal
    assert np.abs(decibels(decode(codes, min_db, max_db)) - decibels(magnitude)).max() < 0.005


def test_float16_comes_with_the_levels_of_its_quietest_and_loudest_bin():
    _, min_db, max_db = encode(np.array([0.01, 1, 10], np.float32), "float16")
    assert (min_db, max_db) == pytest.approx((-40, 20), abs=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_the_magnitudes_given_are_not_changed(magnitude, dtype):
    before = magnitude.copy()
    encode(magnitude, dtype)
    np.testing.assert_array_equal(magnitude, before)
