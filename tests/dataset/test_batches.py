import re
import shutil
from itertools import islice

import numpy as np
import pytest

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.augmentation import power_sum
from sepcore.dataset.batches import describe_batch, training_batches, validation_batches
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.magnitudes import MagnitudeExamples
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.spectrogram import magnitude_spectrogram
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import write_noise_song
from tests.raised import raises

FORMATS = [(form, dtype) for form in ("tfrecord", "parquet") for dtype in ("uint8", "float16")]


@pytest.fixture(scope="module")
def index(cache):
    config, folder = cache("tfrecord", "uint8")
    return read_index(folder, config)


@pytest.fixture(params=["tfrecord", "parquet"])
def damaged(request, cache, tmp_path):
    """The config and a copy of the cache to damage, in each format."""
    config, folder = cache(request.param, "uint8")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return config, read_index(tmp_path, config)


def spectrogram(path, config, start_s, first_frame):
    """The segment straight from the audio."""
    waveform = read_waveform(path, sample_rate=config.sample_rate, num_channels=config.num_channels)
    start = round(start_s * config.sample_rate) + first_frame * config.hop_length
    return magnitude_spectrogram(
        waveform[start : start + 512 + 63 * 128], frame_length=512, hop_length=128, num_bins=config.num_bins
    )


def take(batches, count):
    return list(islice(batches, count))


def crops(index, config):
    """``(chunk, first frame)`` of the first batch's examples."""
    return [MagnitudeExamples(index, config).crop(0, place) for place in range(config.batch_size)]


def test_batches_are_magnitudes_of_mixture_and_stems(config, index):
    ((mixture, targets),) = take(training_batches(index, config), 1)
    assert (mixture.dtype, mixture.shape) == (np.float32, (2, 64, 128, 2))
    assert (targets.dtype, targets.shape) == (np.float32, (2, 2, 64, 128, 2))


@pytest.mark.parametrize(("cache_format", "cache_dtype"), FORMATS)
def test_a_training_segment_equals_the_audios_own_spectrogram_within_quantization(
    cache, rows, cache_format, cache_dtype
):
    config, folder = cache(cache_format, cache_dtype)
    index = read_index(folder, config)
    ((mixture, targets),) = take(training_batches(index, config), 1)
    error = 0.025 if cache_dtype == "uint8" else 0.001
    for number, (chunk, first_frame) in enumerate(crops(index, config)):
        cached = index.row(chunk)
        row = {row.name: row for row in rows}[cached["song"]]
        signals = np.concatenate([mixture[number][None], targets[number]])
        for signal, path in zip(signals, row.files, strict=True):
            expected = spectrogram(path, config, cached["start_s"], first_frame)
            np.testing.assert_allclose(signal, expected, rtol=error, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("cache_format", "cache_dtype"), FORMATS)
def test_segments_are_decoded_as_chunks_are(cache, cache_format, cache_dtype):
    config, folder = cache(cache_format, cache_dtype)
    index = read_index(folder, config)
    ((mixture, targets),) = take(training_batches(index, config), 1)
    chunk, first_frame = crops(index, config)[0]
    segment = slice(first_frame, first_frame + config.segment_frames)
    expected = [signal.magnitude()[segment] for signal in read_chunk(index, chunk).signals]
    np.testing.assert_allclose(np.concatenate([mixture[:1], targets[0]]), expected, rtol=1e-5)


def test_starting_at_a_later_step_gives_the_batches_that_come_then(config, index):
    whole = take(training_batches(index, config), 7)
    resumed = take(training_batches(index, config, first_step=4), 3)
    for (mixture, targets), (resumed_mixture, resumed_targets) in zip(whole[4:], resumed, strict=True):
        np.testing.assert_array_equal(mixture, resumed_mixture)
        np.testing.assert_array_equal(targets, resumed_targets)


def test_remixed_stems_are_segments_of_the_drawn_chunks_and_their_mixture_is_their_power_sum(index, config):
    remixing = config.model_copy(update={"augmentation": AugmentationConfig(remix=1)})
    ((mixture, targets),) = take(training_batches(index, remixing), 1)
    for place in range(config.batch_size):
        drawn = MagnitudeExamples(index, remixing).example(0, place)
        for stem, (chunk, first) in enumerate(zip(drawn.chunks, drawn.first_frames, strict=True)):
            signal = read_chunk(index, int(chunk)).signals[1 + stem]
            np.testing.assert_allclose(targets[place, stem], signal.magnitude()[first : first + 64], rtol=1e-5)
        expected = np.empty_like(mixture[place])
        power_sum(targets[place], out=expected)
        np.testing.assert_array_equal(mixture[place], expected)


def test_both_formats_give_the_same_batches(cache):
    batches = []
    for cache_format in ("tfrecord", "parquet"):
        config, folder = cache(cache_format, "uint8")
        index = read_index(folder, config)
        batches.append(take(training_batches(index, config), 3))
    np.testing.assert_equal(*batches)


def test_validation_takes_the_middle_of_every_chunk_once_and_does_not_vary_it(config, index, rows):
    varied = config.model_copy(update={"augmentation": AugmentationConfig(gain_db=6, remix=1, pitch_shift=1)})
    batches = take(validation_batches(index, varied), 10)
    assert [len(mixture) for mixture, _ in batches] == [2, 2, 1]
    middle = (config.chunk_frames - config.segment_frames) // 2
    expected = spectrogram(rows[0].mixture, config, index.row(0)["start_s"], middle)
    np.testing.assert_allclose(batches[0][0][0], expected, rtol=0.025, atol=1e-5 * expected.max())


def test_a_damaged_chunk_is_named(damaged):
    config, index = damaged
    row = index.row(3)
    path = index.folder / row["shard"]
    content = bytearray(path.read_bytes())
    content[row["offset"] + row["num_bytes"] // 2] ^= 1
    path.write_bytes(content)
    with raises(DatasetError, f"chunk {row['chunk']}", "'b'", "damaged", path=path, hint="--verify"):
        take(validation_batches(index, config), 3)


def test_the_batches_before_a_damaged_chunk_are_still_given(damaged):
    config, index = damaged
    row = index.row(4)
    path = index.folder / row["shard"]
    content = bytearray(path.read_bytes())
    content[row["offset"] + row["num_bytes"] // 2] ^= 1
    path.write_bytes(content)
    batches = validation_batches(index, config)
    assert [len(next(batches)[0]) for _ in range(2)] == [2, 2]
    with raises(DatasetError, f"chunk {row['chunk']}", "'b'", "damaged", path=path):
        next(batches)


def test_a_shard_that_has_gone_is_named(damaged):
    config, index = damaged
    path = index.folder / index.shards[0]
    path.unlink()
    with raises(DatasetError, "'a'", "missing", path=path) as raised:
        take(training_batches(index, config), 5)
    assert re.search(r"chunk \d", raised.value.problem)


@pytest.mark.parametrize("kept", ["to the chunk's first byte", "to its middle"])
def test_a_shard_that_was_cut_off_is_named(damaged, kept):
    config, index = damaged
    row = index.row(1)
    path = index.folder / row["shard"]
    path.write_bytes(path.read_bytes()[: row["offset"] + (0 if "first" in kept else 1000)])
    with raises(DatasetError, "'a'", "damaged", path=path) as raised:
        take(validation_batches(index, config), 3)
    assert re.search(r"chunk \d", raised.value.problem)


def test_a_damaged_chunk_is_named_in_a_remixed_example_too(damaged):
    config, index = damaged
    remixing = config.model_copy(update={"augmentation": AugmentationConfig(remix=1)})
    path = index.folder / index.shards[1]
    path.write_bytes(b"")
    with raises(DatasetError, "'b'", "damaged", path=path) as raised:
        take(training_batches(index, remixing), 5)
    assert re.search(r"chunk \d", raised.value.problem)


def test_the_songs_and_offsets_that_are_named_are_those_of_the_batch(config, tmp_path):
    rows = {name: write_noise_song(tmp_path / "songs", config, name) for name in ("Ana - Uno", "Bo - Due")}
    shards = [(name, shard_of(row, config, tmp_path / "cache", num_chunks=2)) for name, row in rows.items()]
    build_index(tmp_path / "cache", shards, config)
    index = read_index(tmp_path / "cache", config)
    step = 3
    mixtures = next(training_batches(index, config, first_step=step))[0]

    places = describe_batch(index, config, step)

    assert len(places) == len(mixtures) == config.batch_size
    for place, mixture in zip(places, mixtures, strict=True):
        song, _, offset = place.removesuffix(" s").rpartition(" at ")
        waveform = read_waveform(rows[song].mixture, sample_rate=config.sample_rate, num_channels=2)
        # The offset has a digit behind the point: the segment starts within half of that.
        nearest = range(round((float(offset) - 0.05) * 8000), round((float(offset) + 0.05) * 8000) + 1)
        errors = []
        for start in nearest:
            part = waveform[start : start + 512 + 63 * 128]
            if len(part) == 512 + 63 * 128:
                found = magnitude_spectrogram(part, frame_length=512, hop_length=128, num_bins=config.num_bins)
                errors.append(np.abs(found - mixture).mean() / mixture.mean())
        assert min(errors) < 0.05  # the codes' rounding; another place of noise would be about 0.5 off
