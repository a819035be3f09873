"""Chunks read back from their shards without TensorFlow, and their checksums verified."""

from pathlib import Path

from sepcore.dataset.cache.byte_range import ByteRange
from sepcore.dataset.cache.chunks import Chunk
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
    written = _verified_bytes(folder, record)
    if path.suffix == ".tfrecord":
        return Chunk(record.chunk, record.start_s, parse_record(written))
    import pyarrow as pa

    from sepcore.dataset.cache.parquet_shard import read_row

    try:
        return Chunk(record.chunk, record.start_s, read_row(path, record.chunk, record.instruments))
    except (OSError, pa.ArrowException) as error:  # the directory of the chunks, at the file's end, is damaged
        raise DatasetError(_fault(path, record, "is damaged")) from error


def _verified_bytes(folder: Path, record: ChunkRecord) -> bytes:
    """A chunk as it stands in its shard; errors as of `read_chunk`."""
    path = folder / record.shard
    try:
        with path.open("rb") as file:
            written = ByteRange(record.offset, record.num_bytes, record.checksum).read_from(file)
    except OSError as error:
        fault = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DatasetError(_fault(path, record, fault)) from error
    if written is None:
        raise DatasetError(_fault(path, record, "is damaged"))
    return written


def _fault(path: Path, record: ChunkRecord, fault: str) -> str:
    return f"{path}: chunk {record.chunk} of {record.song!r} {fault}; {_CURE}"
