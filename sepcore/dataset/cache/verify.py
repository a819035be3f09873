"""Chunks read back from their shards without TensorFlow, and their checksums verified."""

from pathlib import Path

from sepcore.dataset.cache.byte_range import ByteRange
from sepcore.dataset.cache.chunks import Chunk
from sepcore.dataset.cache.shards import ChunkRecord
from sepcore.dataset.cache.tfrecord import parse_record
from sepcore.errors import DatasetError
from sepcore.system.os_errors import fix_for, reason_of

_VERIFY = "`python -m flows.cache -p CONFIG --verify`"


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
        raise _damaged(path, record, "is damaged") from error


def _verified_bytes(folder: Path, record: ChunkRecord) -> bytes:
    """A chunk as it stands in its shard; errors as of `read_chunk`."""
    path = folder / record.shard
    try:
        with path.open("rb") as file:
            written = ByteRange(record.offset, record.num_bytes, record.checksum).read_from(file)
    except FileNotFoundError as error:
        raise _damaged(path, record, "is missing") from error
    except OSError as error:
        raise DatasetError(
            f"chunk {record.chunk} of {record.song!r} cannot be read ({reason_of(error)})",
            path=path,
            hint=f"{fix_for(error, reading=True)}, or cache the song again with {_VERIFY}.",
            errno=error.errno,
        ) from error
    if written is None:
        raise _damaged(path, record, "is damaged")
    return written


def _damaged(path: Path, record: ChunkRecord, fault: str) -> DatasetError:
    hint = f"Run {_VERIFY} to cache the song again."
    return DatasetError(f"chunk {record.chunk} of {record.song!r} {fault}", path=path, hint=hint)
