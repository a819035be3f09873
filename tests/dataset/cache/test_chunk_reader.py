import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile

from sepcore.dataset.cache import chunk_reader
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import ChunkReader, read_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.pcm import BLOCK_SAMPLES
from sepcore.dataset.cache.shards import write_shard
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import in_dtype, plan_of, shard_of
from tests.dataset.conftest import write_noise_song
from tests.raised import raises

STEPS = {"int16": 2.0**-15, "int24": 2.0**-23}


@pytest.fixture
def cached(each_dtype, write_song, tmp_path):
    """Config and index of two songs, of two chunks each that have several blocks."""
    config = each_dtype.model_copy(update={"chunk_duration_s": 5.0})
    rows = [write_song(name, duration_s=11.0) for name in ("a", "b")]
    build_index(tmp_path, [(row.name, shard_of(row, config, tmp_path, num_chunks=2)) for row in rows], config)
    return config, read_index(tmp_path, config)


def whole_chunks(index):
    return [
        np.stack(
            [signal.magnitude() if hasattr(signal, "magnitude") else signal.waveform() for signal in chunk.signals]
        )
        for chunk in (read_chunk(index, number) for number in range(len(index)))
    ]


def drawn_parts(length, block, count):
    """Places at the ends of a chunk, at the edges of blocks, and anywhere."""
    rng = np.random.default_rng(0)
    edges = [edge for edge in range(0, length + 1, block)] + [length]
    parts = [(first, last) for first in edges for last in (first + 1, *edges) if first < last <= length]
    parts += [(first - 1, first + 1) for first in edges if 0 < first < length]
    parts += [sorted(rng.choice(length + 1, 2, replace=False)) for _ in range(count)]
    return [(int(first), int(last - first)) for first, last in parts]


def test_a_part_is_what_is_cut_from_the_whole(cached):
    config, index = cached
    reader, wholes = ChunkReader(index, config), whole_chunks(index)
    for number, whole in enumerate(wholes):
        assert whole.shape[1] == index.length[number]
        for first, count in drawn_parts(whole.shape[1], BLOCK_SAMPLES if index.pcm else 100, 8):
            for signals in (slice(None), slice(0, 1), slice(1, None), slice(2, 3)):
                part = reader.read(number, first, count, signals)
                assert part.dtype == np.float32
                np.testing.assert_array_equal(part, whole[signals, first : first + count])


def test_threads_read_what_one_thread_reads(cached):
    config, index = cached
    reader = ChunkReader(index, config)
    places = [(number, first) for first in range(10) for number in range(len(index))] * 3
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda place: reader.read(*place, 64, slice(None)), places))
    for place, part in zip(places, parts, strict=True):
        np.testing.assert_array_equal(part, reader.read(*place, 64, slice(None)))


@pytest.mark.parametrize(("first", "count"), [(-1, 5), (0, 0), (0, 10**6), (10**6, 1)])
def test_a_part_outside_the_chunk_is_refused(cached, first, count):
    config, index = cached
    with pytest.raises(ValueError, match="stay within"):
        ChunkReader(index, config).read(0, first, count, slice(None))


def test_a_missing_chunk_is_named(cached):
    config, index = cached
    path = index.folder / index.shards[1]
    path.unlink()
    with raises(DatasetError, "chunk 1", "'b'", "missing", path=path, hint="--verify"):
        ChunkReader(index, config).read(3, 0, 64, slice(1, 2))


def test_a_chunk_that_was_cut_off_is_named(cached):
    config, index = cached
    path = index.folder / index.shards[1]
    path.write_bytes(path.read_bytes()[: index.offset[3] + 100])
    with raises(DatasetError, "chunk 1", "'b'", "damaged", path=path, hint="--verify"):
        ChunkReader(index, config).read(3, 0, 64, slice(1, 2))


@pytest.fixture(params=["tfrecord", "parquet"])
def waveforms(request, config, write_song, tmp_path):
    """Config and index of one song of one chunk of PCM."""
    config = in_dtype(config, "int16").model_copy(update={"cache_format": request.param, "chunk_duration_s": 20.0})
    row = write_song("song", duration_s=20.0)
    build_index(tmp_path, [("song", shard_of(row, config, tmp_path, num_chunks="all"))], config)
    return config, read_index(tmp_path, config)


def test_a_part_reads_its_own_bytes_and_less_than_two_blocks_a_signal(waveforms, monkeypatch):
    config, index = waveforms
    asked = []

    def counting(descriptor, size, offset):
        asked.append(size)
        return pread(descriptor, size, offset)

    pread = os.pread
    monkeypatch.setattr(chunk_reader.os, "pread", counting)
    reader, sample_bytes = ChunkReader(index, config), 2 * config.num_channels
    for first, count in drawn_parts(int(index.length[0]), BLOCK_SAMPLES, 20):
        for signals in (slice(None), slice(2, 3)):
            asked.clear()
            num_signals = len(reader.read(0, first, count, signals))
            assert len(asked) == num_signals
            assert sum(asked) < num_signals * (count + 2 * BLOCK_SAMPLES) * sample_bytes


def test_a_flipped_byte_anywhere_in_the_pcm_is_found_by_parts_that_have_it_and_by_no_other(waveforms):
    config, index = waveforms
    reader, path, length = ChunkReader(index, config), index.folder / index.shards[0], int(index.length[0])
    sound, sample_bytes = path.read_bytes(), 2 * config.num_channels
    for place in np.random.default_rng(1).integers(0, length * sample_bytes, 12).tolist():
        byte = int(index.pcm.pcm_offset[0, 1]) + place
        path.write_bytes(sound[:byte] + bytes([sound[byte] ^ 4]) + sound[byte + 1 :])
        sample = place // sample_bytes
        for first, count in ((sample, 1), (0, length), (max(sample - 70, 0), 71)):
            with raises(DatasetError, "chunk 0", "'song'", "damaged", path=path, hint="--verify"):
                reader.read(0, first, count, slice(0, 2))
        reader.read(0, 0, length, slice(2, 3))
        beside = sample - 2 * BLOCK_SAMPLES if sample > length // 2 else sample + 2 * BLOCK_SAMPLES
        reader.read(0, beside, 1, slice(None))


@pytest.mark.parametrize("dtype", ["int16", "int24"])
@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("sample_rate", [8000, 11_025])
def test_waveforms_are_the_recordings_within_half_a_step(
    config, tmp_path, each_format, dtype, num_channels, sample_rate
):
    keys = {"sample_rate": sample_rate, "num_channels": num_channels, "chunk_duration_s": 3.3}
    config = in_dtype(each_format, dtype).model_copy(update=keys)
    row = write_noise_song(tmp_path, config, "song", duration_s=10.01, num_channels=num_channels)
    build_index(tmp_path, [("song", shard_of(row, config, tmp_path, num_chunks="all"))], config)
    index = read_index(tmp_path, config)
    reader = ChunkReader(index, config)
    recordings = [soundfile.read(path, dtype="float32", always_2d=True)[0] for path in row.files]
    heard = np.zeros(len(recordings[0]), bool)
    for number in range(len(index)):
        start = round(index.row(number)["start_s"] * sample_rate)
        read = reader.read(number, 0, int(index.length[number]), slice(None))
        for signal, recording in zip(read, recordings, strict=True):
            np.testing.assert_allclose(signal, recording[start : start + len(signal)], atol=STEPS[dtype] / 2, rtol=0)
        np.testing.assert_allclose(read[0], read[1:].sum(axis=0), atol=1e-6)
        heard[start : start + read.shape[1]] = True
    assert heard.all()


def test_levels_are_those_of_the_samples(waveforms):
    config, index = waveforms
    samples = ChunkReader(index, config).read(0, 0, int(index.length[0]), slice(None)).astype(np.float64)
    by_second = samples.reshape(3, 20, -1)
    np.testing.assert_allclose(index.levels(0), 10 * np.log10((by_second**2).mean(axis=2)), atol=1e-4)


def test_spectrograms_have_no_levels(config, write_song, tmp_path):
    shard = write_shard(plan_of(write_song("song"), config, num_chunks=1), config, tmp_path)
    build_index(tmp_path, [("song", shard)], config)
    with pytest.raises(ValueError, match="cache_content"):
        read_index(tmp_path, config).levels(0)
