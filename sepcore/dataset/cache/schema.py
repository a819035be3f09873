"""The schema of cached chunks: the columns of the index, of which a shard and the JSON file beside it hold a part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, BinaryIO

import google_crc32c
import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

SHARD_COLUMNS = ("fingerprint", "instruments", "length_s")
"""The columns in which all chunks of a shard are equal."""
CHUNK_COLUMNS = ("start_s", "num_frames", "min_db", "max_db", "offset", "num_bytes", "checksum")
"""The columns that a shard is described by, chunk by chunk; a chunk's number is its place in them."""


@cache
def chunk_schema() -> "pa.Schema":
    """The columns of the index. What many rows have in common is stored once.

    ``song``: its name in the manifest.
    ``instruments``: in the order in which they are stored, after the mixture.
    ``chunk``: place among the song's chunks, from 0; in a Parquet shard also the row group.
    ``start_s``: where the chunk starts in the song, in seconds.
    ``length_s``: length of a chunk in seconds; one at the song's end is shorter.
    ``num_frames``: STFT frames of each signal.
    ``min_db``: of the mixture and each instrument, what code 0 stands for (float16: the quietest bin).
    ``max_db``: likewise, what code 255 stands for (float16: the loudest bin).
    ``shard``: file name of the shard.
    ``offset``: first byte of the chunk's record or row group in the shard.
    ``num_bytes``: length of that, TFRecord's framing of 16 bytes included.
    ``checksum``: CRC-32C of these bytes.
    ``fingerprint``: of the song's audio, the chunks' places and the settings.
    """
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


def chunk_table(songs: Sequence[tuple[str, str, Mapping[str, Any]]], *, least_frames: int) -> "pa.Table":
    """The rows of the chunks that have at least so many frames.

    Built column by column: a Python object for each of a million chunks would take minutes.

    Args:
        songs: Name, file name of the shard, and `read_columns` of it, in the order of the rows.
        least_frames: Shorter chunks get no row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [of_song for _, _, of_song in songs]
    counts = [len(of_song["offset"]) for of_song in columns]
    song_of_row = pa.array(np.repeat(np.arange(len(songs), dtype=np.int32), counts))
    shared = {"song": [song for song, _, _ in songs], "shard": [shard for _, shard, _ in songs]}
    shared |= {name: [of_song[name] for of_song in columns] for name in SHARD_COLUMNS}
    by_chunk = {name: chain.from_iterable(map(itemgetter(name), columns)) for name in CHUNK_COLUMNS}
    by_chunk["chunk"] = chain.from_iterable(map(range, counts))

    def column(field: "pa.Field") -> "pa.Array":
        if field.name in by_chunk:
            return pa.array(list(by_chunk[field.name]), field.type)
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        return pa.array(shared[field.name], kind).take(song_of_row)

    schema = chunk_schema()
    table = pa.table({field.name: column(field) for field in schema})
    # Dictionaries are made of the rows that are left.
    return table.filter(pc.greater_equal(table["num_frames"], least_frames)).cast(schema)


@dataclass(frozen=True)
class ByteRange:
    """Where a chunk is in its shard, whatever the shard's format: the columns of these names."""

    offset: int
    num_bytes: int
    checksum: int

    @property
    def end(self) -> int:
        """The first byte behind them."""
        return self.offset + self.num_bytes

    def read_from(self, file: BinaryIO) -> bytes | None:
        """These bytes of a file; None if some are missing or they do not have the checksum."""
        file.seek(self.offset)
        content = file.read(self.num_bytes)
        return content if google_crc32c.value(content) == self.checksum else None
