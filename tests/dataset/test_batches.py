import shutil
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest

from sepcore.dataset.batches import (
    check_chunks,
    training_batches,
    training_crops,
    validation_batches,
    with_chunk_named,
)
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.shards import write_shard
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.spectrogram import magnitude_spectrogram
from tests.dataset.conftest import write_noise_song


@pytest.fixture(scope="module")
def rows(config, tmp_path_factory):
    return [write_noise_song(tmp_path_factory.mktemp("songs"), config, name) for name in ("a", "b")]


@pytest.fixture(scope="module")
def index(config, rows, tmp_path_factory):
    """Five chunks: three of song a, two of song b."""
    folder = tmp_path_factory.mktemp("cache")
    shards = [write_shard(row, config, folder, num_chunks=n) for row, n in zip(rows, (3, 2), strict=True)]
    build_index(folder, shards, config)
    return read_index(folder, config)


@pytest.fixture
def own_index(index, config, tmp_path):
    """A copy to damage."""
    shutil.copytree(index.folder, tmp_path, dirs_exist_ok=True)
    return read_index(tmp_path, config)


def spectrogram(path, config, start_s, first_frame):
    """The segment straight from the audio."""
    waveform = read_waveform(path, sample_rate=config.sample_rate, num_channels=config.num_channels)
    start = round(start_s * config.sample_rate) + first_frame * config.hop_length
    return magnitude_spectrogram(
        waveform[start : start + 512 + 63 * 128], frame_length=512, hop_length=128, num_bins=config.num_bins
    )


def take(dataset, index, count):
    return [(mixture.numpy(), targets.numpy()) for mixture, targets in islice(with_chunk_named(dataset, index), count)]


def crops(index, config, count, first_example=0):
    """``(chunk, first frame)`` of training examples."""
    dataset = training_crops(index, config, first_example=first_example)
    return [(index.records[chunk], int(first)) for chunk, first in dataset.take(count).as_numpy_iterator()]


def test_batches_are_magnitudes_of_mixture_and_stems(config, index):
    ((mixture, targets),) = take(training_batches(index, config), index, 1)
    assert (mixture.dtype, mixture.shape) == (np.float32, (2, 64, 128, 2))
    assert (targets.dtype, targets.shape) == (np.float32, (2, 2, 64, 128, 2))


def test_shapes_are_known_before_anything_is_read(config, index):
    mixture, targets = training_batches(index, config).element_spec
    assert mixture.shape.as_list() == [None, 64, 128, 2]
    assert targets.shape.as_list() == [None, 2, 64, 128, 2]


def test_a_training_segment_equals_the_audios_own_spectrogram_within_quantisation(config, index, rows):
    ((mixture, targets),) = take(training_batches(index, config), index, 1)
    for number, (record, first_frame) in enumerate(crops(index, config, 2)):
        row = {row.name: row for row in rows}[record.song]
        signals = np.concatenate([mixture[number][None], targets[number]])
        for signal, path in zip(signals, row.files, strict=True):
            expected = spectrogram(path, config, record.start_s, first_frame)
            np.testing.assert_allclose(signal, expected, rtol=0.025, atol=1e-5 * expected.max())


def test_an_epoch_takes_every_chunk_once_and_the_next_one_in_another_order(config, index):
    examples = [record for record, _ in crops(index, config, 20)]
    epochs = [examples[first : first + 5] for first in range(0, 20, 5)]
    assert all(set(epoch) == set(index.records) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_segments_start_anywhere_in_a_chunk(config, index):
    starts = {first_frame for _, first_frame in crops(index, config, 1000)}
    assert starts == set(range(config.chunk_frames - config.segment_frames + 1))


def test_starting_at_a_later_step_gives_the_batches_that_come_then(config, index):
    whole = take(training_batches(index, config), index, 7)
    resumed = take(training_batches(index, config, first_step=4), index, 3)
    for (mixture, targets), (resumed_mixture, resumed_targets) in zip(whole[4:], resumed, strict=True):
        np.testing.assert_array_equal(mixture, resumed_mixture)
        np.testing.assert_array_equal(targets, resumed_targets)


def test_another_seed_gives_another_order(config, index):
    other = config.model_copy(update={"random_seed": 8})
    assert crops(index, config, 20) != crops(index, other, 20)


def test_validation_takes_the_middle_of_every_chunk_once(config, index, rows):
    batches = take(validation_batches(index, config), index, 10)
    assert [len(mixture) for mixture, _ in batches] == [2, 2, 1]
    middle = (config.chunk_frames - config.segment_frames) // 2
    expected = spectrogram(rows[0].mixture, config, index.records[0].start_s, middle)
    np.testing.assert_allclose(batches[0][0][0], expected, rtol=0.025, atol=1e-5 * expected.max())


def test_a_damaged_chunk_is_named(config, own_index):
    record = own_index.records[3]
    path = own_index.folder / record.shard
    content = bytearray(path.read_bytes())
    content[record.offset + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"{path}: chunk {record.chunk} of 'b' is damaged; delete the shard"):
        take(validation_batches(own_index, config), own_index, 3)


def test_a_shard_that_has_gone_is_named(config, own_index):
    path = own_index.folder / own_index.records[0].shard
    path.unlink()
    with pytest.raises(DatasetError, match=rf"{path}: chunk \d of 'a' is missing"):
        take(training_batches(own_index, config), own_index, 5)


@pytest.mark.parametrize("kept", ["to the chunk's first byte", "to its middle"])
def test_a_shard_that_was_cut_off_is_named(config, own_index, kept):
    record = own_index.records[1]
    path = own_index.folder / record.shard
    path.write_bytes(path.read_bytes()[: record.offset + (0 if "first" in kept else 1000)])
    with pytest.raises(DatasetError, match=rf"{path}: chunk 1 of 'a' is damaged"):
        take(validation_batches(own_index, config), own_index, 3)


def test_whole_chunks_pass_the_check(index):
    check_chunks(index)


def test_a_process_that_ends_in_the_middle_of_training_ends(config, index):
    script = f"""
from pathlib import Path
from sepcore.config_file import parse_config
from sepcore.dataset.batches import training_batches
from sepcore.dataset.cache.index import read_index
config = parse_config({config.to_json()!r}, "test")
batches = iter(training_batches(read_index(Path({str(index.folder)!r}), config), config))
next(batches)
"""
    subprocess.run([sys.executable, "-c", script], timeout=120, check=True, capture_output=True)
