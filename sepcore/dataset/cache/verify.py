"""Chunks read back from their shards without TensorFlow, and their checksums verified."""

from collections.abc import Iterator
from pathlib import Path

import google_crc32c

from sepcore.dataset.cache.chunks import Chunk
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.shards import ChunkRecord
from sepcore.dataset.cache.tfrecord import parse_record
from sepcore.errors import DatasetError

_CURE = "run python -m flows.cache -p CONFIG --verify, which caches the song again."


def read_chunk(folder: Path, record: ChunkRecord) -> Chunk:
    """Read one chunk.

    Args:
        folder: Where the shards lie.
        record: Its row of the index.

    Raises:
        DatasetError: a chunk that is damaged, or whose shard is missing.
    """
    path = folder / record.shard
    written = verified_bytes(folder, record)
    if path.suffix == ".tfrecord":
        return Chunk(record.chunk, record.start_s, parse_record(written))
    import pyarrow as pa

    from sepcore.dataset.cache.parquet_shard import read_row

    try:
        return Chunk(record.chunk, record.start_s, read_row(path, record.chunk, record.instruments))
    except (OSError, pa.ArrowException) as error:  # the directory of the chunks, at the file's end, is damaged
        raise DatasetError(_fault(path, record, "is damaged")) from error


def verified_bytes(folder: Path, record: ChunkRecord) -> bytes:
    """A chunk as it stands in its shard; errors as of `read_chunk`."""
    path = folder / record.shard
    try:
        with path.open("rb") as file:
            file.seek(record.offset)
            written = file.read(record.num_bytes)
    except OSError as error:
        fault = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DatasetError(_fault(path, record, fault)) from error
    if google_crc32c.value(written) != record.checksum:
        raise DatasetError(_fault(path, record, "is damaged"))
    return written


def damaged_chunks(index: ChunkIndex) -> Iterator[str]:
    """Read every byte of the shards; a line for each chunk that is damaged or missing, with its song and its file."""
    for record in index.records():
        try:
            verified_bytes(index.folder, record)
        except DatasetError as error:
            yield str(error)


def _fault(path: Path, record: ChunkRecord, fault: str) -> str:
    return f"{path}: chunk {record.chunk} of {record.song!r} {fault}; {_CURE}"
