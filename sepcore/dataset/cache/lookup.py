"""From a song's name to a row of the index."""

import difflib

import numpy as np

from sepcore.dataset.cache.index import ChunkIndex
from sepcore.errors import DatasetError

_SHOWN_SONGS = 3


def chunk_row(index: ChunkIndex, *, song: str | None = None, chunk: int | None = None, row: int | None = None) -> int:
    """The number of one row of the index, from 0.

    Args:
        index: What is cached.
        song: A song's name in the manifest; None: the row is given.
        chunk: Place among the song's chunks, from 0; None: the first that is listed.
        row: Its number; None: the first.

    Raises:
        DatasetError: no such row, no such song (names like it are given), or no such chunk (those there are).
    """
    if song is not None:
        return _row_of_song(index, song, chunk)
    if row is not None and not 0 <= row < len(index):
        raise DatasetError(f"has no row {row}", path=index.path, hint=f"Give 0 to {len(index) - 1}.")
    return row or 0


def _row_of_song(index: ChunkIndex, song: str, chunk: int | None) -> int:
    import pyarrow.parquet as pq

    path = index.path
    column = pq.read_table(path, columns=["song"]).column("song").unify_dictionaries().combine_chunks()
    songs = column.dictionary.to_pylist()
    if song not in songs:
        raise DatasetError(f'has no song "{song}"', path=path, hint=_songs_like(song, songs))
    rows = np.flatnonzero(column.indices.to_numpy() == songs.index(song))
    chunks = index.chunk[rows].tolist()
    if chunk is None:
        chunk = chunks[0]
    if chunk not in chunks:
        hint = f"The song's chunks are {', '.join(map(str, chunks))}."
        raise DatasetError(f'has no chunk {chunk} of "{song}"', path=path, hint=hint)
    return int(rows[chunks.index(chunk)])


def _songs_like(song: str, songs: list[str]) -> str:
    """The hint about a song that is not there."""
    within = [name for name in songs if song.lower() in name.lower()]
    near = within or difflib.get_close_matches(song, songs, _SHOWN_SONGS, cutoff=0.5)
    if near:
        quoted = [f'"{name}"' for name in near[:_SHOWN_SONGS]]
        return f"Did you mean {' or '.join(quoted)}?"
    return f'It lists {len(songs)} song(s), the first is "{songs[0]}".'
