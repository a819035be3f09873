import numpy as np
import pytest
import scipy.stats

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.crops import Crops, Songs
from sepcore.dataset.draws import ExampleRandom
from tests.dataset.conftest import index_of


def crops_of(index, config, count):
    """``(chunk, first frame)`` of the first examples."""
    crops = Crops(index, config, length=config.segment_frames)
    return [crops.own(*divmod(number, config.batch_size)) for number in range(count)]


def test_an_epoch_takes_every_chunk_once_and_the_next_one_in_another_order(config):
    chunks = [chunk for chunk, _ in crops_of(index_of([5]), config, 20)]
    epochs = [chunks[first : first + 5] for first in range(0, 20, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_segments_start_anywhere_in_a_chunk(config):
    assert {start for _, start in crops_of(index_of([5]), config, 1000)} == set(range(90 - 64 + 1))


def test_ten_thousand_steps_cover_songs_of_any_length_evenly(config):
    index = index_of([1, 3, 2, 6], length=[64 + 100] * 12)
    chunks, firsts = np.array(crops_of(index, config, 10_000 * config.batch_size)).T
    assert scipy.stats.chisquare(np.bincount(chunks, minlength=12)).pvalue > 0.05
    assert scipy.stats.chisquare(np.bincount(firsts, minlength=101)).pvalue > 0.05
    places = np.bincount(chunks * 101 + firsts, minlength=12 * 101)
    assert scipy.stats.chisquare(places).pvalue > 0.05


def test_the_other_stems_of_remixes_cover_all_chunks_and_places_evenly(config):
    remixing = config.model_copy(update={"augmentation": AugmentationConfig(remix=1)})
    crops = Crops(index_of([2] * 6, length=[64 + 100] * 12), remixing, length=64)
    drawn = [crops.of_stems(*divmod(number, 2)) for number in range(10_000)]
    chunks, firsts = (np.array([getattr(one, name)[1 - one.kept] for one in drawn]) for name in ("stretches", "firsts"))
    assert scipy.stats.chisquare(np.bincount(chunks, minlength=12)).pvalue > 0.05
    assert scipy.stats.chisquare(np.bincount(firsts, minlength=101)).pvalue > 0.05


def chunks_of(num_chunks, num_stems, chunk, count):
    """``(chunks, kept stem)`` of so many examples of one chunk, in a set of songs of so many chunks."""
    songs = Songs(index_of(num_chunks).shard)
    return [songs.remixed_stretches(ExampleRandom(7, step, 0), chunk, num_stems) for step in range(count)]


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
    of_index = Songs(index_of([1] * num_songs).shard)
    songs = np.array(
        [
            of_index.remixed(ExampleRandom(0, number // 4, number % 4), number % num_songs, 4)[0]
            for number in range(num_examples)
        ]
    )
    # Independent ones would meet in 141 of the 51 million ways to choose.
    assert len(np.unique(songs, axis=0)) >= 119_500
    expected = num_examples / num_songs
    for stem in songs.T:
        assert np.abs(np.bincount(stem, minlength=num_songs) - expected).max() < 5 * expected**0.5
