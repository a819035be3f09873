"""The Parquet index of cached songs: one row a chunk, read as columns, since there may be millions."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.fingerprint import content_fingerprint, index_settings
from sepcore.dataset.cache.index_file import (
    FILE_NAME,
    SUMMARY_KEY,
    SongChunks,
    copy_for_people,
    existing_index,
    folder_of_shards,
    key_of,
    own_path,
)
from sepcore.dataset.cache.index_rows import SongRows, index_schema, index_table, read_columns
from sepcore.dataset.cache.shards import ChunkRecord, ShardRef
from sepcore.dataset.cache.sidecar import read_content
from sepcore.errors import CacheNotWritable, DatasetError
from sepcore.system.atomic import atomic_path, remove_leftovers
from sepcore.system.os_errors import fix_for, reason_of

_SONGS_AT_ONCE = 2000


@dataclass(frozen=True, eq=False)
class ChunkIndex:
    """The chunks of one data set, at least one, by song and by place in it. Arrays have an item a chunk.

    Attributes:
        path: The index's file.
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

    path: Path
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
        """Sixteen hex digits of the audio and settings of all chunks, in their order; not of the shards' form."""
        return self.content

    def record(self, number: int) -> ChunkRecord:
        """One row of the index whole, by its number from 0; read from the file."""
        import pyarrow.parquet as pq

        if not 0 <= number < len(self):
            raise IndexError(f"chunk {number} of {len(self)}; count from 0")
        with pq.ParquetFile(self.path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if number < rows:
                    break
                number -= rows
            return _record(*file.read_row_group(group).slice(number, 1).to_pylist())

    def records(self) -> Iterator[ChunkRecord]:
        """All rows whole, one after the other; read from the file."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=1024):
                yield from map(_record, batch.to_pylist())


def build_index(folder: Path, shards: Iterable[tuple[str, ShardRef]], config: ModelConfig) -> Path:
    """Write the index that lists the chunks of these songs that hold a segment, and no others.

    It is a file of these songs' own, ``indexes/<key>.parquet``: another caching in the folder writes another one.
    ``index.parquet`` becomes a copy of it.

    Args:
        folder: Where the shards lie.
        shards: Songs, each of another name, with their shards, which know their content (`ShardRef.of`); in any order.
        config: With which the shards were written; its ``T`` decides which chunks are listed.

    Returns:
        The index. The same songs give the same bytes. Its file's metadata hold the settings, how many songs
        there were, the key and the fingerprint.

    Raises:
        DatasetError: a shard that is not there any more.
        CacheNotWritable: an index that cannot be written.
    """
    songs = sorted(shards, key=itemgetter(0))
    summary = _summary(songs, config)
    key = summary["key"]
    path = own_path(folder, key)
    with _fault_named(path):
        if existing_index(folder, key) != path:
            remove_leftovers(path.parent)
            with atomic_path(path) as temporary:
                _write(temporary, _rows(songs, config), summary)
        copy_for_people(path, key)
    return path


def find_index(folder: Path, shards: Iterable[tuple[str, ShardRef]], config: ModelConfig) -> Path | None:
    """The index that `build_index` would write, if it is there; errors as of that.

    Nothing is written but the copy ``index.parquet``, where that is another caching's and the folder is not read-only.
    """
    key = _summary(sorted(shards, key=itemgetter(0)), config)["key"]
    index = existing_index(folder, key)
    if index is not None:
        with _fault_named(folder / FILE_NAME):
            copy_for_people(index, key)
    return index


def read_index(place: Path, config: ModelConfig) -> ChunkIndex:
    """Read an index.

    Args:
        place: The index, as `build_index` gives it; or a folder of shards: that of the last caching there.
        config: The model's.

    Raises:
        DatasetError: no index, one that was made with other settings than the config's (they are named), or one
            without a chunk.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = place if place.suffix == ".parquet" and not place.is_dir() else place / FILE_NAME
    if not path.is_file():
        hint = "Cache the songs first with `python -m flows.cache -p CONFIG`."
        raise DatasetError("there is no such index", path=path, hint=hint)
    try:
        with pq.ParquetFile(path) as file:
            summary = json.loads(file.metadata.metadata[SUMMARY_KEY.encode()])
            _check_settings(path, summary["settings"], index_settings(config))
            shards, columns = read_columns(file)
    except (pa.ArrowInvalid, KeyError, TypeError) as error:
        hint = "Delete it and cache the songs again."
        raise DatasetError(f"is not an index of shards ({error})", path=path, hint=hint) from error
    if not shards:
        raise DatasetError(
            f"0 usable chunks in {summary['num_songs']} song(s), none is as long as T = {config.segment_frames} frames",
            path=path,
            hint="List longer songs, or lower T and chunk_duration.",
        )
    return ChunkIndex(
        path=path,
        folder=folder_of_shards(path),
        shards=shards,
        **columns,
        cache_format=config.cache_format,
        cache_dtype=config.cache_dtype,
        num_songs=summary["num_usable_songs"],
        content=summary["fingerprint"],
    )


def _summary(songs: list[tuple[str, ShardRef]], config: ModelConfig) -> dict[str, Any]:
    """What the index says of itself, its key and fingerprint among it; each shard's description is read for it."""
    settings, usable = index_settings(config), []

    def chunks() -> Iterator[SongChunks]:
        for (_, shard), song in zip(songs, _rows(songs, config), strict=True):
            content, listed = song.content, song.listed
            if listed:
                places = [(n, content.offset[n], content.length[n], content.checksum[n]) for n in listed]
                yield song.song, song.shard, content.fingerprint, places
            usable.append((shard.content or content.fingerprint, len(listed)))

    key = key_of(chunks(), len(songs), settings)
    return {
        "settings": settings,
        "num_songs": len(songs),
        "key": key,
        "num_usable_songs": sum(num_chunks > 0 for _, num_chunks in usable),
        "fingerprint": content_fingerprint(usable),
    }


def _rows(songs: list[tuple[str, ShardRef]], config: ModelConfig) -> Iterator[SongRows]:
    for song, shard in songs:
        content = read_content(shard.path)
        if content is None:
            raise DatasetError("the shard is missing or incomplete", path=shard.path, hint="Cache the songs again.")
        listed = [chunk for chunk, frames in enumerate(content.num_frames) if frames >= config.segment_frames]
        yield SongRows(song, shard.path.name, content, listed)


def _write(path: Path, rows: Iterator[SongRows], summary: dict[str, Any]) -> None:
    import pyarrow.parquet as pq

    with path.open("wb") as file, pq.ParquetWriter(file, index_schema()) as writer:
        while part := list(islice(rows, _SONGS_AT_ONCE)):
            writer.write_table(index_table(part))
        writer.add_key_value_metadata({SUMMARY_KEY: json.dumps(summary)})


@contextmanager
def _fault_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = f"{fix_for(error)} and run the command again."
        problem = f"cannot be written ({reason_of(error)})"
        raise CacheNotWritable(problem, path=path, hint=hint, errno=error.errno) from error


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
        made = f"was made with {', '.join(differing)}"
        raise DatasetError(made, path=path, hint="Cache the songs again with this config.")
