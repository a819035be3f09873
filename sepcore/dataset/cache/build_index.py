"""Index files in a folder of shards: one for each set of songs, found by its key, and a copy of the latest."""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from itertools import chain, count, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import (
    CHUNK_COLUMNS,
    INDEX_FOLDER,
    INDEX_NAME,
    LENGTH_COLUMN,
    SHARD_COLUMNS,
    chunk_schema,
    folder_of_shards,
    read_summary,
    summary_metadata,
)
from sepcore.dataset.cache.plan import content_fingerprint, index_settings, least_length
from sepcore.dataset.cache.shards import Shard, read_columns, writing
from sepcore.errors import DatasetError
from sepcore.system.atomic import atomic_path, remove_leftovers, write_bytes
from sepcore.system.ownership import is_plain_file

if TYPE_CHECKING:
    import pyarrow as pa

_SONGS_AT_ONCE = 2000
_NAME = re.compile(r"[0-9a-f]{16}\.parquet")
# An index is identified by these columns of each song and then these of its chunks.
_SONG_KEYS = ("song", "shard", "fingerprint")
_CHUNK_KEYS = ("chunk", "offset", "num_bytes", "checksum")

_logger = logging.getLogger(__name__)
_Songs = list[tuple[str, Shard]]
_SongKey = tuple[str, str, str, list[tuple[int, ...]]]


def build_index(folder: Path, shards: Iterable[tuple[str, Shard]], config: ModelConfig, *, anew: bool = False) -> Path:
    """Write the index of these songs, which lists the chunks that are long enough for a segment.

    It is a file of its own, ``indexes/<key>.parquet``, so other songs can be cached in the same folder;
    ``index.parquet`` becomes a copy of it. The same songs give the same bytes.

    Args:
        folder: The folder of the shards.
        shards: Songs with different names, in any order, and their shards, which know their content (`Shard.of`).
        config: The config of the shards; its ``T`` decides which chunks are listed.
        anew: Write the index also if it is there: it may be damaged.

    Raises:
        DatasetError: a shard is gone.
        CacheNotWritable: the index cannot be written.
    """
    import pyarrow.parquet as pq

    songs = sorted(shards, key=itemgetter(0))
    summary = _summary(songs, config)
    key, schema = summary["key"], chunk_schema(config.cache_content)
    path = _own_path(folder, key)
    with writing(path):
        if anew or _existing_index(folder, key) != path:
            remove_leftovers(path.parent)
            with (
                atomic_path(path) as temporary,
                temporary.open("wb") as file,
                pq.ParquetWriter(file, schema, write_page_checksum=True) as writer,
            ):
                for table in _tables(songs, config):
                    writer.write_table(table)
                writer.add_key_value_metadata(summary_metadata(summary))
        _copy_for_people(path, key, anew=anew)
    return path


def find_index(folder: Path, shards: Iterable[tuple[str, Shard]], config: ModelConfig) -> Path | None:
    """The index that `build_index` would write, if it exists; ``index.parquet`` becomes a copy of it if possible."""
    key = _summary(sorted(shards, key=itemgetter(0)), config)["key"]
    index = _existing_index(folder, key)
    if index is not None:
        with writing(folder / INDEX_NAME):
            _copy_for_people(index, key)
    return index


def indexes_of(folder: Path) -> Iterator[Path]:
    """The index files in the ``indexes`` of a folder of shards; other files and links are skipped."""
    place = folder / INDEX_FOLDER
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if _NAME.fullmatch(path.name) and is_plain_file(path) and _has_key(path, path.stem):
            yield path


def fingerprints_in(index: Path) -> set[str]:
    """The fingerprints of the shards that an index lists."""
    return {shard for part in _parts_of(index, ["fingerprint"]) for shard in part["fingerprint"].unique().to_pylist()}


def _tables(songs: _Songs, config: ModelConfig) -> Iterator["pa.Table"]:
    """The rows of the index, a few songs at a time: there may be millions."""
    remaining = iter(songs)
    while part := list(islice(remaining, _SONGS_AT_ONCE)):
        yield _chunk_table(part, config.cache_content, least_length(config))


def _chunk_table(songs: _Songs, content: str, least: int) -> "pa.Table":
    """The rows of the chunks with at least so many frames or samples.

    Built column by column: a Python object for each of a million chunks would take minutes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [_columns(shard) for _, shard in songs]
    counts = [len(of_song["offset"]) for of_song in columns]
    song_of_row = pa.array(np.repeat(np.arange(len(songs), dtype=np.int32), counts))
    shared = {"song": [song for song, _ in songs], "shard": [shard.path.name for _, shard in songs]}
    shared |= {name: [of_song[name] for of_song in columns] for name in SHARD_COLUMNS}
    by_chunk = {name: chain.from_iterable(map(itemgetter(name), columns)) for name in CHUNK_COLUMNS[content]}
    by_chunk["chunk"] = chain.from_iterable(map(range, counts))

    def column(field: "pa.Field") -> "pa.Array":
        if field.name in by_chunk:
            return pa.array(list(by_chunk[field.name]), field.type)
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        return pa.array(shared[field.name], kind).take(song_of_row)

    schema = chunk_schema(content)
    table = pa.table({field.name: column(field) for field in schema})
    # The cast makes the dictionaries, from the remaining rows only.
    return table.filter(pc.greater_equal(table[LENGTH_COLUMN[content]], least)).cast(schema)


def _columns(shard: Shard) -> dict[str, Any]:
    columns = read_columns(shard.path)
    if columns is None:
        raise DatasetError("the shard is missing or incomplete", path=shard.path, hint="Cache the songs again.")
    return columns


def _summary(songs: _Songs, config: ModelConfig) -> dict[str, Any]:
    """The metadata of the index; the JSON file of each shard is read for it."""
    settings, contents = index_settings(config), []

    def listed_songs() -> Iterator[_SongKey]:
        for song, shard in songs:
            columns = _columns(shard)
            chunks = zip(count(), *(columns[name] for name in _CHUNK_KEYS[1:]), strict=False)
            lengths = columns[LENGTH_COLUMN[config.cache_content]]
            listed = [chunk for chunk in chunks if lengths[chunk[0]] >= least_length(config)]
            contents.append((shard.content or shard.fingerprint, len(listed)))
            if listed:
                yield song, shard.path.name, shard.fingerprint, listed

    key = _key(listed_songs(), len(songs), settings)
    return {
        "settings": settings,
        "num_songs": len(songs),
        "key": key,
        "num_usable_songs": sum(num_chunks > 0 for _, num_chunks in contents),
        "fingerprint": content_fingerprint(contents),
    }


def _key(songs: Iterable[_SongKey], num_songs: int, settings: dict[str, Any]) -> str:
    """Sixteen hex digits of everything in an index; ``songs`` are those with a row, ``num_songs`` counts all."""
    digest = hashlib.sha256(json.dumps([settings, num_songs], sort_keys=True).encode())
    for song in songs:
        digest.update(json.dumps(song).encode())
    return digest.hexdigest()[:16]


def _own_path(folder: Path, key: str) -> Path:
    return folder / INDEX_FOLDER / f"{key}.parquet"


def _existing_index(folder: Path, key: str) -> Path | None:
    own = _own_path(folder, key)
    if _has_key(own, key):
        return own
    copy = folder / INDEX_NAME
    # In a read-only folder, the index may be the only one that an earlier version wrote.
    if not os.access(folder, os.W_OK) and (_has_key(copy, key) or _key_of_old(copy) == key):
        return copy
    return None


def _copy_for_people(index: Path, key: str, *, anew: bool = False) -> None:
    """Copy an index to the folder's ``index.parquet``, unless that is up to date or the folder is read-only."""
    folder = folder_of_shards(index)
    copy = folder / INDEX_NAME
    if (_has_key(copy, key) and not anew) or not os.access(folder, os.W_OK):
        return
    # Another file of this name belongs to somebody else, even if it may be a damaged index.
    if os.path.lexists(copy) and not (is_plain_file(copy) and _summary_of(copy)):
        _logger.warning("%s is not an index of shards and is left alone; the index is %s", copy, index)
        return
    write_bytes(copy, index.read_bytes())


def _summary_of(path: Path) -> dict[str, Any] | None:
    """The metadata of an index; None if there is no index."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            return read_summary(file)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def _has_key(path: Path, key: str) -> bool:
    summary = _summary_of(path)
    return summary is not None and summary.get("key") == key


def _key_of_old(path: Path) -> str | None:
    """The key of an index from a version that did not write keys; None if it is not such an index."""
    summary = _summary_of(path)
    if summary is None or "key" in summary:
        return None
    parts = _parts_of(path, [*_SONG_KEYS, *_CHUNK_KEYS])
    columns = ([part[name].to_pylist() for name in (*_SONG_KEYS, *_CHUNK_KEYS)] for part in parts)
    rows = chain.from_iterable(zip(*values, strict=True) for values in columns)
    songs = (
        (*song, [chunk[len(_SONG_KEYS) :] for chunk in chunks])
        for song, chunks in groupby(rows, key=itemgetter(slice(len(_SONG_KEYS))))
    )
    return _key(songs, summary["num_songs"], summary["settings"])


def _parts_of(index: Path, columns: list[str]) -> Iterator["pa.Table"]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(index) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns)
