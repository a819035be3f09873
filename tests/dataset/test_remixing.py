from itertools import islice

import numpy as np
import pytest

from sepcore.config_dataset import AugmentationConfig
from sepcore.dataset.augmentation import ExampleRandom, power_sum
from sepcore.dataset.batches import training_batches, training_crops, with_chunk_named
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.verify import read_chunk
from sepcore.dataset.remixing import remixed_chunks
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import write_noise_song


@pytest.fixture(scope="module")
def make_index(config, tmp_path_factory):
    def cached(**num_chunks):
        folder = tmp_path_factory.mktemp("cache")
        rows = [write_noise_song(tmp_path_factory.mktemp("songs"), config, name) for name in num_chunks]
        shards = [(row.name, shard_of(row, config, folder, num_chunks=num_chunks[row.name])) for row in rows]
        build_index(folder, shards, config)
        return read_index(folder, config)

    return cached


@pytest.fixture(scope="module")
def index(make_index):
    """Six chunks: 0 to 2 of song a, 3 of b, 4 and 5 of c."""
    return make_index(a=3, b=1, c=2)


SONGS = np.array([0, 0, 0, 1, 2, 2])


def drawn(index, num_stems, count, chunk):
    """``(chunks, kept stem)`` of so many examples of one chunk."""
    draw = remixed_chunks(index, num_stems)
    pairs = [draw(ExampleRandom(*np.int64([7, example])), np.int64(chunk)) for example in range(count)]
    return [(chunks.numpy(), int(kept)) for chunks, kept in pairs]


def examples(index, config, count, remix):
    varied = config.model_copy(update={"augmentation": AugmentationConfig(remix=remix)})
    pairs = islice(with_chunk_named(training_batches(index, varied), index), count)
    parts = zip(*((mixture.numpy(), targets.numpy()) for mixture, targets in pairs), strict=True)
    return tuple(np.concatenate(part) for part in parts)


@pytest.mark.parametrize("num_stems", [2, 3])
def test_each_stem_comes_from_another_song_and_one_from_the_examples_own_chunk(index, num_stems):
    for chunks, kept in drawn(index, num_stems, 50, chunk=1):
        assert len(set(SONGS[chunks])) == num_stems
        assert chunks[kept] == 1


def test_every_stem_is_kept_and_every_other_chunk_is_taken_now_and_then(index):
    pairs = drawn(index, 2, 100, chunk=4)
    assert {kept for _, kept in pairs} == {0, 1}
    assert {int(chunks[1 - kept]) for chunks, kept in pairs} == {0, 1, 2, 3}


def test_with_fewer_songs_than_stems_some_share_a_song(make_index):
    for chunks, kept in drawn(make_index(a=1, b=2), 4, 20, chunk=2):
        assert chunks[kept] == 2
        assert len(set(chunks > 0)) == 2


def test_a_single_song_is_remixed_with_itself(make_index):
    assert {chunk for chunks, _ in drawn(make_index(a=3), 2, 50, chunk=0) for chunk in chunks.tolist()} == {0, 1, 2}


def test_a_remixed_mixture_is_the_power_sum_of_its_stems(index, config):
    mixture, targets = examples(index, config, 4, remix=1)
    for example, stems in enumerate(targets):
        np.testing.assert_array_equal(mixture[example], power_sum(stems))


def test_remixed_stems_are_segments_of_the_drawn_chunks(index, config):
    _, targets = examples(index, config, 4, remix=1)
    draw = remixed_chunks(index, 2)
    for example, chunk, first in training_crops(index, config).take(len(targets)).as_numpy_iterator():
        chunks, kept = draw(ExampleRandom(*np.int64([config.random_seed, example])), chunk)
        for stem, number in enumerate(chunks.numpy()):
            whole = read_chunk(index.folder, index.record(int(number))).signals[1 + stem].magnitude()
            segments = np.lib.stride_tricks.sliding_window_view(whole, 64, axis=0)
            found = [
                start
                for start, segment in enumerate(np.moveaxis(segments, -1, 1))
                if np.allclose(segment, targets[example, stem], rtol=1e-4)
            ]
            assert len(found) == 1
            assert found == [first] or stem != kept


def test_the_share_of_remixed_examples_is_the_configs_and_the_others_stay_as_they_are(index, config):
    plain, varied = examples(index, config, 30, remix=0), examples(index, config, 30, remix=0.5)
    same = [np.array_equal(before, after) for before, after in zip(plain[0], varied[0], strict=True)]
    assert same == [np.array_equal(before, after) for before, after in zip(plain[1], varied[1], strict=True)]
    assert 20 <= sum(same) <= 40  # of 60
