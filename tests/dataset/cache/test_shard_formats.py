import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sepcore.dataset.cache.chunks import Chunk, Signal, encode
from sepcore.dataset.cache.parquet import read_row, write_parquet
from sepcore.dataset.cache.pcm import encode_pcm
from sepcore.dataset.cache.tfrecord import parse_record, write_tfrecord
from tests.dataset.cache.conftest import in_dtype


def noise_chunk(number, *, num_frames=7, dtype="uint8"):
    magnitude = np.random.default_rng(number).uniform(0, 9, (3, num_frames, 5, 2)).astype(np.float32)
    return Chunk(number, 0.5 * number, tuple(Signal(*encode(signal, dtype)) for signal in magnitude))


def waveform_chunk(number, *, num_samples=9):
    """Signals in 16 bits, in 24 bits because of its peak, and silent."""
    waveforms = np.random.default_rng(number).uniform(-1, 1, (3, num_samples, 2)).astype(np.float32)
    waveforms *= np.float32([0.9, 3, 0]).reshape(3, 1, 1)
    return Chunk(number, 0.5 * number, tuple(encode_pcm(each, "int16", sample_rate=4) for each in waveforms))


def written(chunks):
    file = io.BytesIO()
    ranges = write_tfrecord(file, chunks, ("vocals", "drums"))
    return file.getvalue(), ranges


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_the_bytes_are_those_that_tensorflow_writes(tmp_path, dtype):
    import tensorflow as tf
    from tensorflow.train import BytesList, Example, Feature, Features, FloatList, Int64List

    chunks = [noise_chunk(number, num_frames=3 + number, dtype=dtype) for number in range(3)]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for chunk in chunks:
            features = {
                "signals": Feature(bytes_list=BytesList(value=[b"mixture", b"vocals", b"drums"])),
                "codes": Feature(bytes_list=BytesList(value=[signal.codes.tobytes() for signal in chunk.signals])),
                "shape": Feature(int64_list=Int64List(value=[chunk.length, 5, 2])),
                "min_db": Feature(float_list=FloatList(value=[signal.min_db for signal in chunk.signals])),
                "max_db": Feature(float_list=FloatList(value=[signal.max_db for signal in chunk.signals])),
            }
            if dtype == "float16":
                features["dtype"] = Feature(bytes_list=BytesList(value=[b"float16"]))
            writer.write(Example(features=Features(feature=features)).SerializeToString(deterministic=True))
    assert written(chunks)[0] == (tmp_path / "theirs").read_bytes()


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_tensorflow_reads_the_examples(tmp_path, dtype):
    import tensorflow as tf

    chunks = [noise_chunk(number, dtype=dtype) for number in range(2)]
    (tmp_path / "ours").write_bytes(written(chunks)[0])
    features = {name: tf.io.FixedLenFeature([3], tf.float32) for name in ("min_db", "max_db")}
    features["codes"] = tf.io.FixedLenFeature([3], tf.string)
    for record, chunk in zip(tf.data.TFRecordDataset(str(tmp_path / "ours")), chunks, strict=True):
        example = tf.io.parse_single_example(record, features)
        codes = tf.io.decode_raw(example["codes"], tf.as_dtype(dtype)).numpy().reshape(3, 7, 5, 2)
        for number, signal in enumerate(chunk.signals):
            np.testing.assert_array_equal(codes[number], signal.codes)
            assert example["max_db"][number] == np.float32(signal.max_db)


def test_tensorflow_reads_waveforms(tmp_path):
    import tensorflow as tf

    chunks = [waveform_chunk(number) for number in range(2)]
    (tmp_path / "ours").write_bytes(written(chunks)[0])
    features = {name: tf.io.FixedLenFeature([3], tf.string) for name in ("signals", "codes", "dtype")}
    features |= {"scale": tf.io.FixedLenFeature([3], tf.float32), "shape": tf.io.FixedLenFeature([2], tf.int64)}
    for record, chunk in zip(tf.data.TFRecordDataset(str(tmp_path / "ours")), chunks, strict=True):
        example = tf.io.parse_single_example(record, features)
        assert example["signals"].numpy().tolist() == [b"mixture", b"vocals", b"drums"]
        assert example["dtype"].numpy().tolist() == [b"int16", b"int24", b"int16"]
        mixture = tf.cast(tf.io.decode_raw(example["codes"][0], tf.int16), tf.float32) / 2**15
        # The upper three bytes of an int32, so that the sign is in its place.
        codes = tf.pad(tf.reshape(tf.io.decode_raw(example["codes"][1], tf.uint8), (-1, 3)), [[0, 0], [1, 0]])
        vocals = tf.cast(tf.bitcast(codes, tf.int32), tf.float32) / 2**31 * example["scale"][1]
        for samples, signal in zip((mixture, vocals), chunk.signals, strict=False):
            np.testing.assert_array_equal(tf.reshape(samples, example["shape"]).numpy(), signal.waveform())


def assert_same(signals, expected, content, offsets):
    """The signals have come back, and the offsets are those of their bytes in the file."""
    for signal, original, offset in zip(signals, expected, offsets, strict=True):
        np.testing.assert_array_equal(signal.waveform(), original.waveform())
        assert (signal.dtype, signal.scale, signal.shape) == (original.dtype, original.scale, original.shape)
        assert content[offset : offset + len(original.codes)] == original.codes


def test_records_of_waveforms_come_back_and_say_where_each_signal_is():
    chunks = [waveform_chunk(number, num_samples=1 + number) for number in range(3)]
    content, ranges = written(chunks)
    for chunk, stands in zip(chunks, ranges, strict=True):
        signals = parse_record(content[stands.offset : stands.end])
        assert_same(signals, chunk.signals, content, stands.pcm_offsets)


@pytest.mark.parametrize("num_samples", [1, 9, 500_000])
def test_rows_of_waveforms_come_back_and_say_where_each_signal_is(tmp_path, config, num_samples):
    chunks = [waveform_chunk(number, num_samples=num_samples) for number in range(2)]
    ranges = write(tmp_path / "shard.parquet", chunks, in_dtype(config, "int16"))
    for chunk, stands in zip(chunks, ranges, strict=True):
        signals = read_row(tmp_path / "shard.parquet", chunk.number, ("vocals", "drums"))
        assert_same(signals, chunk.signals, (tmp_path / "shard.parquet").read_bytes(), stands.pcm_offsets)


def test_pandas_reads_waveforms(tmp_path, config):
    chunk = waveform_chunk(1)
    write(tmp_path / "shard.parquet", [waveform_chunk(0), chunk], in_dtype(config, "int16"))
    row = pd.read_parquet(tmp_path / "shard.parquet").iloc[1]
    assert (row.chunk, row.start_s, row.length_s, row["dtype"].tolist()) == (1, 0.5, 1.5, ["int16", "int24", "int16"])
    samples = np.frombuffer(row.mixture, "<i2").reshape(row.num_samples, row.num_channels) / 2**15 * row.scale[0]
    np.testing.assert_array_equal(samples, chunk.signals[0].waveform())


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_records_come_back_as_they_were(dtype):
    chunks = [noise_chunk(number, num_frames=1 + number, dtype=dtype) for number in range(3)]
    content, ranges = written(chunks)
    assert [ranges[0].offset, *(stands.end for stands in ranges)][-1] == len(content)
    for chunk, stands in zip(chunks, ranges, strict=True):
        signals = parse_record(content[stands.offset : stands.end])
        for signal, expected in zip(signals, chunk.signals, strict=True):
            np.testing.assert_array_equal(signal.codes, expected.codes)
            assert signal.codes.dtype == expected.codes.dtype
            assert (signal.min_db, signal.max_db) == (np.float32(expected.min_db), np.float32(expected.max_db))


def test_the_cache_is_made_and_verified_without_tensorflow():
    modules = ["build_index", "chunk_reader", "estimate", "index", "inspection", "maintenance", "shards"]
    imports = "; ".join(f"import sepcore.dataset.cache.{module}" for module in modules)
    script = f"import sys; {imports}; raise SystemExit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def write(path, chunks, config):
    with path.open("w+b") as file:
        return write_parquet(file, chunks, config)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_pandas_reads_a_row_a_chunk_that_tells_all_that_is_needed(tmp_path, config, dtype):
    chunk = noise_chunk(1, dtype=dtype)
    write(tmp_path / "shard.parquet", [noise_chunk(0, dtype=dtype), chunk], config)
    row = pd.read_parquet(tmp_path / "shard.parquet").iloc[1]
    assert (row.chunk, row.start_s, row.length_s, row["dtype"]) == (1, 0.5, 1.5, dtype)
    codes = np.frombuffer(row.stem_drums, row["dtype"]).reshape(row.num_frames, row.num_bins, row.num_channels)
    np.testing.assert_array_equal(codes, chunk.signals[2].codes)
    assert row.max_db[2] == np.float32(chunk.signals[2].max_db)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_rows_come_back_as_they_were(tmp_path, config, dtype):
    chunks = [noise_chunk(number, num_frames=1 + number, dtype=dtype) for number in range(3)]
    write(tmp_path / "shard.parquet", chunks, config)
    for chunk in chunks:
        signals = read_row(tmp_path / "shard.parquet", chunk.number, ("vocals", "drums"))
        for signal, expected in zip(signals, chunk.signals, strict=True):
            np.testing.assert_array_equal(signal.codes, expected.codes)
            assert (signal.min_db, signal.max_db) == (np.float32(expected.min_db), np.float32(expected.max_db))


def test_the_chunks_byte_ranges_cover_the_file(tmp_path, config):
    ranges = write(tmp_path / "shard.parquet", [noise_chunk(number) for number in range(3)], config)
    ends = [0, *(stands.end for stands in ranges)]
    assert ends[:-1] == [stands.offset for stands in ranges]
    assert ends[-1] == (tmp_path / "shard.parquet").stat().st_size


def test_the_same_chunks_give_the_same_bytes(tmp_path, config):
    for name in ("a", "b"):
        write(tmp_path / name, [noise_chunk(0), noise_chunk(1)], config)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_instrument_may_be_called_as_a_column_is(tmp_path, config):
    odd = config.model_copy(update={"instruments": ("chunk", "mixture")})
    write(tmp_path / "shard.parquet", [noise_chunk(0)], odd)
    assert len(read_row(tmp_path / "shard.parquet", 0, ("chunk", "mixture"))) == 3
