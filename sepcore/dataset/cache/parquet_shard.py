"""Parquet files of chunks, which pandas, Dask and Spark read: one row a chunk, in a row group of its own."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sepcore.dataset.cache.chunks import Chunk, Signal
from sepcore.dataset.cache.schema import ByteRange, chunk_schema


def code_columns(instruments: Sequence[str]) -> list[str]:
    """The columns that hold the codes of the mixture and of each instrument."""
    # The prefix keeps an instrument that is called "chunk" apart from the column of that name.
    return ["mixture", *(f"stem_{instrument}" for instrument in instruments)]


def write_parquet(
    file: BinaryIO, chunks: Iterable[Chunk], instruments: Sequence[str], *, length_s: float
) -> list[ByteRange]:
    """Write chunks to a file that is also open for reading, and return where they are.

    A row holds ``chunk`` (its number), ``start_s``, ``length_s``, ``num_frames``, ``num_bins``, ``num_channels``,
    ``dtype`` (of the codes: uint8, or little-endian float16), the lists ``min_db`` and ``max_db``, and the codes of the
    mixture and of each instrument as bytes, in the order frames, bins, channels. The same chunks give the same bytes.

    Returns:
        The row groups. The first one's bytes start with the file and the last one's end with it, so that every byte has
        a checksum.
    """
    schema = _schema(instruments)
    ranges: list[ByteRange] = []
    # Dictionaries and statistics would be useless: no two chunks have the same codes.
    with pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=False, write_statistics=False) as writer:
        for chunk in chunks:
            writer.write_table(pa.Table.from_pylist([_row(chunk, instruments, length_s)], schema))
            ranges.append(_written_from(file, ranges[-1].end if ranges else 0))
    if ranges:
        ranges[-1] = _written_from(file, ranges[-1].offset)
    return ranges


def read_row(path: Path, chunk: int, instruments: Sequence[str]) -> tuple[Signal, ...]:
    """The signals of a chunk, which is the row group of its number."""
    with pq.ParquetFile(path) as file:
        (row,) = file.read_row_group(chunk).to_pylist()
    shape = (row["num_frames"], row["num_bins"], row["num_channels"])
    dtype = np.dtype(row["dtype"]).newbyteorder("<")
    return tuple(
        Signal(np.frombuffer(row[name], dtype).reshape(shape), min_db, max_db)
        for name, min_db, max_db in zip(code_columns(instruments), row["min_db"], row["max_db"], strict=True)
    )


def _schema(instruments: Sequence[str]) -> pa.Schema:
    places, ranges = ("chunk", "start_s", "length_s", "num_frames"), ("min_db", "max_db")
    fields = [chunk_schema().field(name) for name in places]
    fields += [pa.field("num_bins", pa.int32()), pa.field("num_channels", pa.int32()), pa.field("dtype", pa.string())]
    fields += [chunk_schema().field(name) for name in ranges]
    return pa.schema(fields + [pa.field(name, pa.binary()) for name in code_columns(instruments)])


def _row(chunk: Chunk, instruments: Sequence[str], length_s: float) -> dict[str, Any]:
    codes = [signal.codes for signal in chunk.signals]
    frames, bins, channels = codes[0].shape
    return {
        "chunk": chunk.number,
        "start_s": chunk.start_s,
        "length_s": length_s,
        "num_frames": frames,
        "num_bins": bins,
        "num_channels": channels,
        "dtype": codes[0].dtype.name,
        "min_db": [signal.min_db for signal in chunk.signals],
        "max_db": [signal.max_db for signal in chunk.signals],
        **{name: code.tobytes() for name, code in zip(code_columns(instruments), codes, strict=True)},
    }


def _written_from(file: BinaryIO, offset: int) -> ByteRange:
    file.seek(offset)
    written = file.read()
    return ByteRange(offset, len(written), google_crc32c.value(written))
