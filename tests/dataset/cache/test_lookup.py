import pytest

from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.lookup import chunk_row
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import shard_of
from tests.raised import raises

SONGS = ["Ada - Ferry", "Bram - Window", "Cleo - Hollow Window"]


@pytest.fixture
def index(config, write_song, tmp_path):
    shards = [(song, shard_of(write_song(song), config, tmp_path, num_chunks=2)) for song in SONGS]
    build_index(tmp_path, shards, config)
    return read_index(tmp_path, config)


def test_a_row_is_found_by_song_and_chunk_or_by_its_number(index):
    for song, chunk, row in [("Ada - Ferry", 0, 0), ("Bram - Window", 1, 3), ("Cleo - Hollow Window", 1, 5)]:
        assert chunk_row(index, song=song, chunk=chunk) == chunk_row(index, row=row) == row
        assert (index.record(row).song, index.record(row).chunk) == (song, chunk)


def test_what_is_not_said_is_the_first(index):
    assert chunk_row(index) == 0
    assert chunk_row(index, song="Bram - Window") == 2


@pytest.mark.parametrize(
    ("asked", "songs", "hint"),
    [
        ({"song": "hollow"}, SONGS[2:], "?"),
        ({"song": "Window"}, SONGS[1:], "?"),
        ({"song": "Ada - Fery"}, SONGS[:1], "?"),
        ({"song": "xyz"}, SONGS[:1], "3"),
        ({"song": "Ada - Ferry", "chunk": 2}, [], "0, 1"),
        ({"row": 6}, [], "0 to 5"),
        ({"row": -1}, [], "0 to 5"),
    ],
)
def test_what_is_not_in_the_index_is_answered_with_what_is(index, asked, songs, hint):
    with raises(DatasetError, *asked.values(), path=index.path, hint=hint) as raised:
        chunk_row(index, **asked)
    assert [song for song in SONGS if f'"{song}"' in raised.value.hint] == songs
    assert "\n" not in str(raised.value)
