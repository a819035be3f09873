import pytest

from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.lookup import chunk_row
from sepcore.errors import DatasetError
from tests.dataset.cache.conftest import shard_of


@pytest.fixture
def index(config, write_song, tmp_path):
    songs = ["Ada - Ferry", "Bram - Window", "Cleo - Hollow Window"]
    shards = [(song, shard_of(write_song(song), config, tmp_path, num_chunks=2)) for song in songs]
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
    ("asked", "answer"),
    [
        ({"song": "hollow"}, 'hollow: no such song in .*index.parquet; did you mean "Cleo - Hollow Window"?'),
        ({"song": "Window"}, 'did you mean "Bram - Window" or "Cleo - Hollow Window"?'),
        ({"song": "Ada - Fery"}, 'did you mean "Ada - Ferry"?'),
        ({"song": "xyz"}, 'it lists 3, the first is "Ada - Ferry".'),
        ({"song": "Ada - Ferry", "chunk": 2}, "no chunk 2 in .*index.parquet; there is 0, 1."),
        ({"row": 6}, "has no row 6; give 0 to 5."),
        ({"row": -1}, "has no row -1; give 0 to 5."),
    ],
)
def test_what_is_not_in_the_index_is_answered_with_what_is(index, asked, answer):
    with pytest.raises(DatasetError, match=answer.replace("?", r"\?")) as error:
        chunk_row(index, **asked)
    assert "\n" not in str(error.value)
