import numpy as np
import pandas as pd
import pytest

from sepcore.dataset.cache.parquet_shard import read_row, write_parquet
from tests.dataset.cache.test_tfrecord import noise_chunk


def write(path, chunks, instruments=("vocals", "drums")):
    with path.open("w+b") as file:
        return write_parquet(file, chunks, instruments, length_s=1.5)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_pandas_reads_a_row_a_chunk_that_tells_all_that_is_needed(tmp_path, dtype):
    chunk = noise_chunk(1, dtype=dtype)
    write(tmp_path / "shard.parquet", [noise_chunk(0, dtype=dtype), chunk])
    row = pd.read_parquet(tmp_path / "shard.parquet").iloc[1]
    assert (row.chunk, row.start_s, row.length_s, row["dtype"]) == (1, 0.5, 1.5, dtype)
    codes = np.frombuffer(row.stem_drums, row["dtype"]).reshape(row.num_frames, row.num_bins, row.num_channels)
    np.testing.assert_array_equal(codes, chunk.signals[2].codes)
    assert row.max_db[2] == np.float32(chunk.signals[2].max_db)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_rows_come_back_as_they_were(tmp_path, dtype):
    chunks = [noise_chunk(number, num_frames=1 + number, dtype=dtype) for number in range(3)]
    write(tmp_path / "shard.parquet", chunks)
    for chunk in chunks:
        signals = read_row(tmp_path / "shard.parquet", chunk.number, ("vocals", "drums"))
        for signal, expected in zip(signals, chunk.signals, strict=True):
            np.testing.assert_array_equal(signal.codes, expected.codes)
            assert (signal.min_db, signal.max_db) == (np.float32(expected.min_db), np.float32(expected.max_db))


def test_the_chunks_byte_ranges_cover_the_file(tmp_path):
    ranges = write(tmp_path / "shard.parquet", [noise_chunk(number) for number in range(3)])
    ends = [0, *(stands.end for stands in ranges)]
    assert ends[:-1] == [stands.offset for stands in ranges]
    assert ends[-1] == (tmp_path / "shard.parquet").stat().st_size


def test_the_same_chunks_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, [noise_chunk(0), noise_chunk(1)])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_instrument_may_be_called_as_a_column_is(tmp_path):
    write(tmp_path / "shard.parquet", [noise_chunk(0)], instruments=("chunk", "mixture"))
    assert len(read_row(tmp_path / "shard.parquet", 0, ("chunk", "mixture"))) == 3
