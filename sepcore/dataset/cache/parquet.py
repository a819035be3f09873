"""Shards as Parquet files, which pandas, Dask and Spark read."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c
import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.byte_range import ByteRange, pcm_offsets
from sepcore.dataset.cache.chunks import Chunk, Signal, Signals
from sepcore.dataset.cache.index import chunk_schema
from sepcore.dataset.cache.pcm import PcmSignal

if TYPE_CHECKING:
    import pyarrow as pa


def code_columns(instruments: Sequence[str]) -> list[str]:
    """The columns that hold the codes of the mixture and of each instrument."""
    # The prefix keeps an instrument that is called "chunk" apart from the column of that name.
    return ["mixture", *(f"stem_{instrument}" for instrument in instruments)]


def write_parquet(file: BinaryIO, chunks: Iterable[Chunk], config: ModelConfig) -> list[ByteRange]:
    """Write each chunk as a row in a row group of its own, and return where they are; the same chunks, the same bytes.

    A row holds ``chunk`` (its number), ``start_s``, ``length_s``, ``num_channels``, and the codes of the mixture and of
    each instrument as bytes. Of spectrograms, it also holds ``num_frames``, ``num_bins``, ``dtype`` (of the codes:
    uint8, or little-endian float16) and the lists ``min_db`` and ``max_db``; the codes are in the order frames, bins,
    channels. Of waveforms, it holds ``num_samples`` and the lists ``dtype`` and ``scale``, see `PcmSignal`.

    The file must be open for reading, too. The row groups cover all of it, so that every byte has a checksum.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(config)
    # PCM is not compressed, so that a part of it can be read: it would hardly become smaller.
    compression = "none" if config.cache_content == "waveform" else "zstd"
    ranges: list[ByteRange] = []
    # Dictionaries and statistics would be useless: no two chunks have the same codes.
    with pq.ParquetWriter(
        file, schema, compression=compression, use_dictionary=False, write_statistics=False
    ) as writer:
        for chunk in chunks:
            writer.write_table(pa.Table.from_pylist([_row(chunk, config)], schema))
            ranges.append(_written_from(file, ranges[-1].end if ranges else 0, chunk))
    if ranges:  # the last one includes the end of the file
        last = _written_from(file, ranges[-1].offset)
        ranges[-1] = replace(ranges[-1], num_bytes=last.num_bytes, checksum=last.checksum)
    return ranges


def read_row(shard: Path | BinaryIO, chunk: int, instruments: Sequence[str], wanted: slice = slice(None)) -> Signals:
    """Some signals of a chunk, by default all, by its number in the shard; only they are decompressed."""
    import pyarrow.parquet as pq

    columns = code_columns(instruments)
    with pq.ParquetFile(shard) as file:
        names = [name for name in file.schema_arrow.names if name not in columns or name in columns[wanted]]
        group = file.read_row_group(chunk, columns=names, use_threads=False)
    codes = [group[name][0].as_buffer() for name in columns[wanted]]
    row: dict[str, Any]
    (row,) = group.drop_columns(columns[wanted]).to_pylist()
    if "num_samples" in row:
        shape = row["num_samples"], row["num_channels"]
        of_signals = zip(codes, row["dtype"][wanted], row["scale"][wanted], strict=True)
        return tuple(PcmSignal(pcm.to_pybytes(), shape, dtype, scale) for pcm, dtype, scale in of_signals)
    dtype, limits = np.dtype(row["dtype"]).newbyteorder("<"), (row["min_db"][wanted], row["max_db"][wanted])
    frames = row["num_frames"], row["num_bins"], row["num_channels"]
    return tuple(
        Signal(np.frombuffer(code, dtype).reshape(frames), min_db, max_db)
        for code, min_db, max_db in zip(codes, *limits, strict=True)
    )


def looks_like_parquet_shard(path: Path) -> bool:
    """Whether a file is a Parquet file with a shard's columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return {"chunk", "start_s", "length_s", "mixture"} <= set(pq.read_schema(path).names)
    except pa.ArrowException:
        return False


def _schema(config: ModelConfig) -> "pa.Schema":
    import pyarrow as pa

    of_index, count, text = chunk_schema(config.cache_content), pa.int32(), pa.string()
    if config.cache_content == "waveform":
        own = [
            of_index.field("num_samples"),
            ("num_channels", count),
            ("dtype", pa.list_(text)),
            of_index.field("scale"),
        ]
    else:
        own = [of_index.field("num_frames"), ("num_bins", count), ("num_channels", count), ("dtype", text)]
        own += [of_index.field(name) for name in ("min_db", "max_db")]
    places = [of_index.field(name) for name in ("chunk", "start_s", "length_s")]
    return pa.schema([*places, *own, *((name, pa.binary()) for name in code_columns(config.instruments))])


def _row(chunk: Chunk, config: ModelConfig) -> dict[str, Any]:
    row: dict[str, Any] = {"chunk": chunk.number, "start_s": chunk.start_s, "length_s": config.chunk_duration_s}
    for name, signal in zip(code_columns(config.instruments), chunk.signals, strict=True):
        if isinstance(signal, PcmSignal):
            row["num_samples"], row["num_channels"] = signal.shape
            of_signal: dict[str, Any] = {"dtype": signal.dtype, "scale": signal.scale}
            row[name] = signal.codes
        else:
            row["num_frames"], row["num_bins"], row["num_channels"] = signal.shape
            row["dtype"] = signal.codes.dtype.name
            of_signal = {"min_db": signal.min_db, "max_db": signal.max_db}
            row[name] = signal.codes.tobytes()
        for key, value in of_signal.items():
            row.setdefault(key, []).append(value)
    return row


def _written_from(file: BinaryIO, offset: int, chunk: Chunk | None = None) -> ByteRange:
    """What was written from an offset on, and where in it the PCM of a chunk of waveforms lies."""
    file.seek(offset)
    written = file.read()
    pcm = pcm_offsets(chunk, written, offset) if chunk else ()
    return ByteRange(offset, len(written), google_crc32c.value(written), pcm)
