"""The files of the indexes in a folder of shards: one for each caching, found by its key, and the copy of the last."""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from sepcore.system.atomic import write_bytes
from sepcore.system.ownership import is_plain_file

FILE_NAME = "index.parquet"
"""The copy of the index of the last caching, for people and their tools."""
SUMMARY_KEY = "stemworks"
"""Of the entry in an index's metadata that holds the settings, counts, key and fingerprint."""

_logger = logging.getLogger(__name__)
_FOLDER = "indexes"
_NAME = re.compile(r"[0-9a-f]{16}\.parquet")

SongChunks = tuple[str, str, str, list[tuple[int, int, int, int]]]
"""Song, shard, fingerprint; number, offset, length and checksum of each listed chunk."""


def own_path(folder: Path, key: str) -> Path:
    """Where the index of this key lies, which no other caching writes to."""
    return folder / _FOLDER / f"{key}.parquet"


def folder_of_shards(index: Path) -> Path:
    """The folder whose shards an index lists."""
    return index.parent.parent if index.parent.name == _FOLDER else index.parent


def key_of(songs: Iterable[SongChunks], num_songs: int, settings: dict[str, Any]) -> str:
    """Sixteen hex digits of all that an index says; the same songs in the same shards give the same key.

    Args:
        songs: Those with a listed chunk, in the order of the index.
        num_songs: Of all songs that were cached.
        settings: The index's.
    """
    digest = hashlib.sha256(json.dumps([settings, num_songs], sort_keys=True).encode())
    for song in songs:
        digest.update(json.dumps(song).encode())
    return digest.hexdigest()[:16]


def summary_of(path: Path) -> dict[str, Any] | None:
    """What an index says of itself; None if there is no index, or something else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            summary: dict[str, Any] = json.loads(file.metadata.metadata[SUMMARY_KEY.encode()])
            return summary
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError):
        return None


def has_key(path: Path, key: str) -> bool:
    """Whether a file is the whole index of this key."""
    summary = summary_of(path)
    return summary is not None and summary.get("key") == key


def existing_index(folder: Path, key: str) -> Path | None:
    """The index of this key, if it is there.

    In a folder that cannot be written to, this is also an ``index.parquet`` of a version that kept no others.
    """
    own = own_path(folder, key)
    if has_key(own, key):
        return own
    copy = folder / FILE_NAME
    if not os.access(folder, os.W_OK) and (has_key(copy, key) or _key_of_old(copy) == key):
        return copy
    return None


def copy_for_people(index: Path, key: str) -> None:
    """Make an index the folder's ``index.parquet``, unless it is, or the folder cannot be written to.

    Whatever else has that name and is no index is somebody else's, and left alone. So is one that a disk has damaged:
    it cannot be told from a file of another program.
    """
    folder = folder_of_shards(index)
    copy = folder / FILE_NAME
    if has_key(copy, key) or not os.access(folder, os.W_OK):
        return
    if os.path.lexists(copy) and not (is_plain_file(copy) and summary_of(copy)):
        _logger.warning("%s is not an index of shards and is left alone; the index is %s", copy, index)
        return
    write_bytes(copy, index.read_bytes())


def indexes_of(folder: Path) -> Iterator[Path]:
    """The indexes of the single cachings in a folder; other files, and links, are none."""
    place = folder / _FOLDER
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink() and has_key(path, path.stem):
            yield path


def fingerprints_in(index: Path) -> set[str]:
    """The fingerprints of the shards that an index lists."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(index) as file:
        groups = (file.read_row_group(group, ["fingerprint"]) for group in range(file.num_row_groups))
        return {shard for group in groups for shard in group.column("fingerprint").unique().to_pylist()}


def _key_of_old(path: Path) -> str | None:
    """The key that an index of a version without keys would have; None if it is no index."""
    summary = summary_of(path)
    if summary is None or "key" in summary:
        return None
    return key_of(_songs_in(path), summary["num_songs"], summary["settings"])


def _songs_in(path: Path) -> Iterator[SongChunks]:
    import pyarrow.parquet as pq

    names = ["song", "shard", "fingerprint", "chunk", "offset", "num_bytes", "checksum"]
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches(columns=names) for row in batch.to_pylist())
        for song, chunks in groupby(rows, key=lambda row: (row["song"], row["shard"], row["fingerprint"])):
            yield (*song, [(row["chunk"], row["offset"], row["num_bytes"], row["checksum"]) for row in chunks])
