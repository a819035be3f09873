import numpy as np
import pytest

from sepcore.dataset.random_numbers import ExampleRandom
from sepcore.dataset.remixing import Remixer
from tests.dataset.conftest import index_of


def chunks_of(num_chunks, num_stems, chunk, count):
    """``(chunks, kept stem)`` of so many examples of one chunk, in a set of songs of so many chunks."""
    remixer = Remixer(index_of(num_chunks), num_stems)
    return [remixer.chunks(ExampleRandom(7, step, 0), chunk) for step in range(count)]


@pytest.mark.parametrize("num_stems", [2, 3])
def test_each_stem_comes_from_another_song_and_one_from_the_examples_own_chunk(num_stems):
    songs = np.array([0, 0, 0, 1, 2, 2])
    for chunks, kept in chunks_of([3, 1, 2], num_stems, chunk=1, count=50):
        assert len(set(songs[chunks])) == num_stems
        assert chunks[kept] == 1


def test_every_stem_is_kept_and_every_other_chunk_is_taken_now_and_then():
    pairs = chunks_of([3, 1, 2], 2, chunk=4, count=100)
    assert {kept for _, kept in pairs} == {0, 1}
    assert {int(chunks[1 - kept]) for chunks, kept in pairs} == {0, 1, 2, 3}


def test_with_fewer_songs_than_stems_some_share_a_song():
    for chunks, kept in chunks_of([1, 2], 4, chunk=2, count=20):
        assert chunks[kept] == 2
        assert len(set(chunks > 0)) == 2


def test_a_single_song_is_remixed_with_itself():
    assert {chunk for chunks, _ in chunks_of([3], 2, chunk=0, count=50) for chunk in chunks.tolist()} == {0, 1, 2}


def test_a_long_training_meets_every_song_in_every_stems_place_and_hardly_a_remix_twice():
    num_examples, num_songs = 120_000, 86
    remixer = Remixer(index_of([1] * num_songs), 4)
    songs = np.array(
        [
            remixer.songs(ExampleRandom(0, number // 4, number % 4), number % num_songs)[0]
            for number in range(num_examples)
        ]
    )
    # Independent ones would meet in 141 of the 51 million ways to choose.
    assert len(np.unique(songs, axis=0)) >= 119_500
    expected = num_examples / num_songs
    for stem in songs.T:
        assert np.abs(np.bincount(stem, minlength=num_songs) - expected).max() < 5 * expected**0.5
