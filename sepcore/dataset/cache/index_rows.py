"""The rows of the index, written and read column by column: of millions, a Python object each would take minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sepcore.dataset.cache.sidecar import ShardContent

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class SongRows:
    """One song's rows.

    Attributes:
        song: Its name.
        shard: File name of its shard.
        content: What the shard holds.
        listed: Numbers of the chunks that have a row.
    """

    song: str
    shard: str
    content: ShardContent
    listed: list[int]


def index_schema() -> "pa.Schema":
    """The columns of the index, those of `ChunkRecord`; what many rows have in common is stored once."""
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            ("song", name),
            ("instruments", pa.list_(pa.string())),
            ("chunk", pa.int32()),
            ("start_s", pa.float64()),
            ("length_s", pa.float64()),
            ("num_frames", pa.int32()),
            ("min_db", pa.list_(pa.float32())),
            ("max_db", pa.list_(pa.float32())),
            ("shard", name),
            ("offset", pa.int64()),
            ("num_bytes", pa.int64()),
            ("checksum", pa.uint32()),
            ("fingerprint", name),
        ]
    )


def index_table(songs: Sequence[SongRows]) -> "pa.Table":
    """The rows of some songs, in their order."""
    import pyarrow as pa

    counts = [len(song.listed) for song in songs]
    song_of_row = pa.array(np.repeat(np.arange(len(songs), dtype=np.int32), counts))
    contents = [song.content for song in songs]

    def of_song(values: list[Any], kind: Any) -> Any:
        """A value a song, which all its rows have."""
        return pa.array(values, kind).take(song_of_row)

    def of_chunk(values: list[Sequence[Any]], kind: Any) -> Any:
        """A value a chunk."""
        listed = (map(of_one.__getitem__, song.listed) for of_one, song in zip(values, songs, strict=True))
        return pa.array(list(chain.from_iterable(listed)), kind)

    columns = [
        of_song([song.song for song in songs], pa.string()).dictionary_encode(),
        of_song([content.instruments for content in contents], pa.list_(pa.string())),
        of_chunk([range(len(content.offset)) for content in contents], pa.int32()),
        of_chunk([content.start_s for content in contents], pa.float64()),
        of_song([content.length_s for content in contents], pa.float64()),
        of_chunk([content.num_frames for content in contents], pa.int32()),
        of_chunk([content.min_db for content in contents], pa.list_(pa.float32())),
        of_chunk([content.max_db for content in contents], pa.list_(pa.float32())),
        of_song([song.shard for song in songs], pa.string()).dictionary_encode(),
        of_chunk([content.offset for content in contents], pa.int64()),
        of_chunk([content.length for content in contents], pa.int64()),
        of_chunk([content.checksum for content in contents], pa.uint32()),
        of_song([content.fingerprint for content in contents], pa.string()).dictionary_encode(),
    ]
    return pa.Table.from_arrays(columns, schema=index_schema())


def read_columns(file: Any) -> tuple[tuple[str, ...], dict[str, NDArray[Any]]]:
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
