"""The Parquet index of a folder of shards: one row a chunk, read as columns, since there may be millions."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.atomic import atomic_path
from sepcore.config import ModelConfig
from sepcore.dataset.cache.fingerprint import shard_settings
from sepcore.dataset.cache.index_rows import SongRows, index_schema, index_table
from sepcore.dataset.cache.shards import ChunkRecord, ShardRef
from sepcore.dataset.cache.sidecar import read_content
from sepcore.errors import DatasetError

FILE_NAME = "index.parquet"
_SONGS_AT_ONCE = 2000
SUMMARY_KEY = "stemworks"
"""Of the entry in the file's metadata that holds the settings, counts and fingerprint."""


@dataclass(frozen=True, eq=False)
class ChunkIndex:
    """The chunks of one data set, at least one, by song and by place in it. Arrays have an item a chunk.

    Attributes:
        folder: Where the shards lie.
        shards: Their file names. Songs that are copies of one another share one.
        shard: Number of the chunk's shard among `shards`, int32.
        chunk: Place among the song's chunks, from 0; in a Parquet shard also the row group's; int32.
        offset: First byte of its record or row group in the shard, int64.
        num_bytes: Length of that, TFRecord's framing of 16 bytes included, int64.
        checksum: CRC-32C of these bytes, uint32.
        num_frames: STFT frames of each signal, at least a segment's; int32.
        cache_format: ``tfrecord`` or ``parquet``.
        cache_dtype: ``uint8`` or ``float16``.
        num_songs: Songs that have a chunk.
        content: What `fingerprint` returns.
    """

    folder: Path
    shards: tuple[str, ...]
    shard: NDArray[np.int32]
    chunk: NDArray[np.int32]
    offset: NDArray[np.int64]
    num_bytes: NDArray[np.int64]
    checksum: NDArray[np.uint32]
    num_frames: NDArray[np.int32]
    cache_format: str
    cache_dtype: str
    num_songs: int
    content: str

    def __len__(self) -> int:
        return len(self.shard)

    @property
    def shard_paths(self) -> list[str]:
        """Where the shards lie, in the order of `shards`."""
        return [str(self.folder / name) for name in self.shards]

    def fingerprint(self) -> str:
        """Sixteen hex digits of the audio and settings of all chunks, in their order."""
        return self.content

    def record(self, number: int) -> ChunkRecord:
        """One row of the index whole, by its number from 0; read from the file."""
        import pyarrow.parquet as pq

        if not 0 <= number < len(self):
            raise IndexError(f"chunk {number} of {len(self)}; count from 0")
        with pq.ParquetFile(self.folder / FILE_NAME) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if number < rows:
                    break
                number -= rows
            return _record(*file.read_row_group(group).slice(number, 1).to_pylist())

    def records(self) -> Iterator[ChunkRecord]:
        """All rows whole, one after the other; read from the file."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.folder / FILE_NAME) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from map(_record, batch.to_pylist())


def build_index(folder: Path, shards: Iterable[tuple[str, ShardRef]], config: ModelConfig) -> Path:
    """Write ``index.parquet``, which lists the chunks of these songs that hold a segment, and no others.

    Args:
        folder: Where the shards lie.
        shards: Songs, each of another name, with their shards; in any order.
        config: With which the shards were written; its ``T`` decides which chunks are listed.

    Returns:
        The index. The same songs give the same bytes. Its file's metadata hold the settings, how many songs
        there were, and the fingerprint.

    Raises:
        DatasetError: a shard that is not there any more; an index that cannot be written.
    """
    path = folder / FILE_NAME
    try:
        with atomic_path(path) as temporary:
            _write(temporary, sorted(shards, key=itemgetter(0)), config)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror}); free some space and run again.") from error
    return path


def read_index(folder: Path, config: ModelConfig) -> ChunkIndex:
    """Read the index of a folder of shards.

    Raises:
        DatasetError: no index, one that was made with other settings than the config's (they are named), or one
            without a chunk.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / FILE_NAME
    if not path.is_file():
        raise DatasetError(f"{path}: there is no such index; cache the songs first (python -m flows.cache -p CONFIG).")
    try:
        with pq.ParquetFile(path) as file:
            summary = json.loads(file.metadata.metadata[SUMMARY_KEY.encode()])
            _check_settings(path, summary["settings"], index_settings(config))
            shards, columns = _read_columns(file)
    except (pa.ArrowInvalid, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: is not an index of shards ({error}); delete it and cache again.") from error
    if not shards:
        raise DatasetError(
            f"{path}: 0 usable chunks in {summary['num_songs']} song(s), none is as long as T = "
            f"{config.segment_frames} frames; list longer songs or lower T and chunk_duration."
        )
    return ChunkIndex(
        folder=folder,
        shards=shards,
        **columns,
        cache_format=config.cache_format,
        cache_dtype=config.cache_dtype,
        num_songs=summary["num_usable_songs"],
        content=summary["fingerprint"],
    )


def index_settings(config: ModelConfig) -> dict[str, Any]:
    """The shards' settings, and what decides which of their chunks are listed."""
    return {**shard_settings(config), "T": config.segment_frames}


def _write(path: Path, songs: list[tuple[str, ShardRef]], config: ModelConfig) -> None:
    import pyarrow.parquet as pq

    fingerprint = hashlib.sha256()
    num_usable_songs = 0
    with path.open("wb") as file, pq.ParquetWriter(file, index_schema()) as writer:
        for first in range(0, len(songs), _SONGS_AT_ONCE):
            rows = []
            for song, shard in songs[first : first + _SONGS_AT_ONCE]:
                content = read_content(shard.path)
                if content is None:
                    raise DatasetError(f"{shard.path}: the shard is missing or incomplete; cache the songs again.")
                listed = [chunk for chunk, frames in enumerate(content.num_frames) if frames >= config.segment_frames]
                rows.append(SongRows(song, shard.path.name, content, listed))
                num_usable_songs += bool(listed)
                fingerprint.update(f"{content.fingerprint}:{len(listed)} ".encode())
            writer.write_table(index_table(rows))
        summary = {
            "settings": index_settings(config),
            "num_songs": len(songs),
            "num_usable_songs": num_usable_songs,
            "fingerprint": fingerprint.hexdigest()[:16],
        }
        writer.add_key_value_metadata({SUMMARY_KEY: json.dumps(summary)})


def _read_columns(file: Any) -> tuple[tuple[str, ...], dict[str, NDArray[Any]]]:
    """The names of the shards, and the columns that training needs; a row group at a time is held beside them."""
    rows = file.metadata.num_rows
    dtypes = {
        **dict.fromkeys(("shard", "chunk", "num_frames"), np.int32),
        **dict.fromkeys(("offset", "num_bytes"), np.int64),
        "checksum": np.uint32,
    }
    columns: dict[str, NDArray[Any]] = {name: np.empty(rows, dtype) for name, dtype in dtypes.items()}
    numbers: dict[str, int] = {}
    first = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=list(dtypes))
        part = slice(first, first + len(table))
        for name in dtypes:
            column = table.column(name).combine_chunks()
            if name == "shard":
                of_group = [numbers.setdefault(shard, len(numbers)) for shard in column.dictionary.to_pylist()]
                columns[name][part] = np.array(of_group, np.int32)[column.indices.to_numpy()]
            else:
                columns[name][part] = column.to_numpy()
        first = part.stop
    return tuple(numbers), columns


def _record(fields: dict[str, Any]) -> ChunkRecord:
    values: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in fields.items()}
    return ChunkRecord(**values)


def _check_settings(path: Path, made_with: dict[str, Any], wanted: dict[str, Any]) -> None:
    differing = [
        f"{key} = {json.dumps(made_with.get(key))} (the config's is {json.dumps(value)})"
        for key, value in wanted.items()
        if made_with.get(key) != value
    ]
    if differing:
        raise DatasetError(f"{path}: was made with {', '.join(differing)}; cache the songs again with this config.")
