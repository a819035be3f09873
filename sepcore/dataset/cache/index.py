"""The Parquet index of a folder of shards: one row a chunk."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sepcore.atomic import atomic_path
from sepcore.config import ModelConfig
from sepcore.dataset.cache.fingerprint import chunk_settings
from sepcore.dataset.cache.shards import ChunkRecord, ShardRef, read_records, record_from_fields
from sepcore.errors import DatasetError

_FILE_NAME = "index.parquet"
_SUMMARY_KEY = b"stemworks"


@dataclass(frozen=True)
class ChunkIndex:
    """The chunks of one data set, at least one.

    Attributes:
        folder: Where the shards lie.
        records: The chunks, by song and by place in it.
    """

    folder: Path
    records: tuple[ChunkRecord, ...]

    def __len__(self) -> int:
        return len(self.records)

    @property
    def num_songs(self) -> int:
        """Songs that have a chunk."""
        return len({record.song for record in self.records})

    def fingerprint(self) -> str:
        """Sixteen hex digits of the audio and settings of all chunks."""
        songs = sorted({record.fingerprint for record in self.records})
        return hashlib.sha256("".join(songs).encode()).hexdigest()[:16]


def build_index(folder: Path, shards: Sequence[ShardRef], config: ModelConfig) -> Path:
    """Write ``index.parquet``, which lists the chunks of these shards and of no others.

    Args:
        folder: Where the shards lie.
        shards: What `write_shard` returned, in any order.
        config: With which they were written.

    Returns:
        The index; its schema's metadata holds the settings and how many songs and chunks there were.

    Raises:
        DatasetError: a shard that is not there any more.
    """
    import pyarrow as pa
    import pyarrow.parquet

    records = sorted((record for shard in shards for record in read_records(shard)), key=_place)
    summary = {
        "settings": chunk_settings(config),
        "num_songs": len(shards),
        "num_dropped": sum(shard.num_dropped for shard in shards),
    }
    schema = pa.schema(
        [
            ("song", pa.string()),
            ("instruments", pa.list_(pa.string())),
            ("chunk", pa.int32()),
            ("start_s", pa.float64()),
            ("length_s", pa.float64()),
            ("num_frames", pa.int32()),
            ("min_db", pa.list_(pa.float32())),
            ("max_db", pa.list_(pa.float32())),
            ("shard", pa.string()),
            ("offset", pa.int64()),
            ("num_bytes", pa.int64()),
            ("checksum", pa.uint32()),
            ("fingerprint", pa.string()),
        ],
        metadata={_SUMMARY_KEY: json.dumps(summary)},
    )
    path = folder / _FILE_NAME
    with atomic_path(path) as temporary:
        pa.parquet.write_table(pa.Table.from_pylist([asdict(record) for record in records], schema), temporary)
    return path


def read_index(folder: Path, config: ModelConfig) -> ChunkIndex:
    """Read the index of a folder of shards.

    Raises:
        DatasetError: no index, one that was made with other settings than the config's (they are named), or one
            without a chunk.
    """
    import pyarrow as pa
    import pyarrow.parquet

    path = folder / _FILE_NAME
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such index; cache the songs first (python -m flows.cache -p CONFIG).")
    try:
        table = pa.parquet.read_table(path)
        summary = json.loads(table.schema.metadata[_SUMMARY_KEY])
    except (pa.ArrowInvalid, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: is not an index of shards ({error}); delete it and cache again.") from error
    _check_settings(path, summary["settings"], chunk_settings(config))
    if not table.num_rows:
        raise DatasetError(
            f"{path}: 0 usable chunks in {summary['num_songs']} song(s), {summary['num_dropped']} chunk(s) were "
            f"shorter than T = {config.segment_frames} frames; list longer songs or lower T and chunk_duration."
        )
    return ChunkIndex(folder, tuple(record_from_fields(fields) for fields in table.to_pylist()))


def _place(record: ChunkRecord) -> tuple[str, int]:
    return record.song, record.chunk


def _check_settings(path: Path, made_with: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = [
        f"{key} = {json.dumps(made_with.get(key))} (the config's is {json.dumps(value)})"
        for key, value in wanted.items()
        if made_with.get(key) != value
    ]
    if differing:
        raise DatasetError(f"{path}: was made with {', '.join(differing)}; cache the songs again with this config.")
