import numpy as np
import pytest

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.batches import training_batches, with_chunk_named
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.examples import (
    Draw,
    ExampleRandom,
    Remixer,
    TrainingExamples,
    describe_batch,
    epoch_order,
    num_source_frames,
    stretched_from,
)
from sepcore.signal.audio_reader import read_waveform
from sepcore.signal.spectrogram import magnitude_spectrogram
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import index_of, write_noise_song


def test_the_numbers_of_a_place_never_change():
    # A training goes on under another version of NumPy, or of this project unless DRAWS_VERSION is raised.
    numbers = ExampleRandom(2**32 - 1, 1_000_000, 3).uniform(Draw.REMIX_SONGS, 3)
    np.testing.assert_array_equal(numbers, [0.27233563200306143, 0.4182161182923557, 0.6362430747596172])
    np.testing.assert_array_equal(epoch_order(7, 2**40, 8), [7, 1, 4, 3, 6, 0, 2, 5])


@pytest.mark.parametrize("other", [{"seed": 256}, {"seed": 2**31}, {"step": 256}, {"step": 2**40}, {"place": 256}])
@pytest.mark.parametrize("draw", Draw)
def test_seed_step_and_place_count_at_full_width(other, draw):
    numbers = ExampleRandom(**{"seed": 0, "step": 0, "place": 0}).uniform(draw, 4)
    others = ExampleRandom(**{"seed": 0, "step": 0, "place": 0} | other).uniform(draw, 4)
    assert not np.intersect1d(numbers, others).size


def test_every_kind_of_draw_has_a_stream_of_its_own():
    numbers = np.concatenate([ExampleRandom(1, 2, 3).uniform(draw, 100) for draw in Draw])
    assert len(np.unique(numbers)) == len(numbers)


def test_more_numbers_begin_with_the_same():
    random = ExampleRandom(1, 2, 3)
    np.testing.assert_array_equal(random.uniform(Draw.GAIN, 9)[:4], random.uniform(Draw.GAIN, 4))


def test_numbers_are_uniform():
    numbers = ExampleRandom(1, 2, 3).uniform(Draw.GAIN, 100_000)
    counts = np.histogram(numbers, 100, (0, 1))[0]
    assert abs(counts - 1000).max() < 5 * 1000**0.5
    assert counts.sum() == 100_000
    assert set(ExampleRandom(1, 2, 3).below(Draw.GAIN, np.array([1, 5] * 50))) == {0, 1, 2, 3, 4}


def test_every_epoch_of_every_seed_has_an_order_of_its_own():
    seeds_and_epochs = [*((0, epoch) for epoch in range(600)), *((seed, 0) for seed in (1, 256, 512, 2**31, 2**32 - 1))]
    orders = [epoch_order(seed, epoch, 86) for seed, epoch in seeds_and_epochs]
    assert all(sorted(order) == list(range(86)) for order in orders)
    assert len({tuple(order) for order in orders}) == len(orders)


EVERYTHING = {"gain_db": 6, "channel_swap": True, "remix": 0.5, "pitch_shift": 1, "time_stretch": 0.1}


def drawn(config, count, index=None, **augmentation):
    """The first examples, each field as an array of all of them."""
    varied = config.model_copy(update={"augmentation": AugmentationConfig(**augmentation)})
    examples = TrainingExamples(index or index_of([2, 2, 2, 2]), varied)
    pairs = [examples.example(*divmod(number, config.batch_size)) for number in range(count)]
    return {name: np.array(values) for name, values in zip(pairs[0]._fields, zip(*pairs, strict=True), strict=True)}


def chunks_and_starts(config, count, num_chunks=5):
    examples = TrainingExamples(index_of([num_chunks]), config)
    return [examples.crop(*divmod(number, config.batch_size)) for number in range(count)]


def test_an_epoch_takes_every_chunk_once_and_the_next_one_in_another_order(config):
    chunks = [chunk for chunk, _ in chunks_and_starts(config, 20)]
    epochs = [chunks[first : first + 5] for first in range(0, 20, 5)]
    assert all(sorted(epoch) == [0, 1, 2, 3, 4] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_segments_start_anywhere_in_a_chunk(config):
    assert {start for _, start in chunks_and_starts(config, 1000)} == set(range(90 - 64 + 1))


@pytest.mark.parametrize("seed", [8, 7 + 256, 7 + 2**31])
def test_another_seed_gives_another_order_and_other_examples(config, seed):
    other = config.model_copy(update={"random_seed": seed})
    first, second = (chunks_and_starts(of, 40, num_chunks=40) for of in (config, other))
    assert [chunk for chunk, _ in first] != [chunk for chunk, _ in second]
    for name in ("chunks", "gains"):
        assert not np.array_equal(drawn(config, 40, **EVERYTHING)[name], drawn(other, 40, **EVERYTHING)[name])


def test_without_augmentation_an_example_is_its_crop(config):
    plain = drawn(config, 20)
    np.testing.assert_array_equal(plain["chunks"], [[chunk] * 2 for chunk, _ in chunks_and_starts(config, 20, 8)])
    np.testing.assert_array_equal(plain["first_frames"], [[at] * 2 for _, at in chunks_and_starts(config, 20, 8)])
    assert not plain["remixed"].any()
    assert not plain["swapped"].any()
    assert (plain["num_frames"] == 64).all()
    assert (plain["gains"] == 1).all()
    assert (plain["pitch_factor"] == 1).all()


@pytest.mark.parametrize(
    ("key", "fields"),
    {
        "gain_db": {"gains"},
        "channel_swap": {"swapped"},
        "pitch_shift": {"pitch_factor"},
        "time_stretch": {"num_frames", "first_frames"},
        "remix": {"remixed", "chunks", "first_frames"},
    }.items(),
)
def test_an_augmentation_draws_the_same_whatever_else_is_on_and_changes_nothing_else(config, key, fields):
    plain, alone, all_on = (drawn(config, 40, **keys) for keys in ({}, {key: EVERYTHING[key]}, EVERYTHING))
    for name in plain:
        assert np.array_equal(plain[name], alone[name]) == (name not in fields)
    for name in fields - {"first_frames"}:  # which remixing and stretching both move
        np.testing.assert_array_equal(alone[name], all_on[name])


def test_gains_are_spread_over_the_range_and_shares_kept(config):
    gains_db = 20 * np.log10(drawn(config, 1000, gain_db=6)["gains"])
    assert np.abs(np.histogram(gains_db, 10, (-6, 6))[0] - 200).max() < 5 * 200**0.5
    assert abs(drawn(config, 1000, channel_swap=True)["swapped"].mean() - 0.5) < 0.08
    assert abs(drawn(config, 1000, remix=0.3)["remixed"].mean() - 0.3) < 0.08
    semitones = 12 * np.log2(drawn(config, 1000, pitch_shift=2)["pitch_factor"])
    assert np.abs(np.histogram(semitones, 10, (-2, 2))[0] - 100).max() < 5 * 100**0.5


def test_the_stem_that_a_remix_keeps_stays_at_its_place(config):
    plain, remixed = drawn(config, 200), drawn(config, 200, remix=1)
    kept = (remixed["chunks"] == plain["chunks"]) & (remixed["first_frames"] == plain["first_frames"])
    assert (kept.sum(axis=1) == 1).all()
    assert 60 < kept[:, 0].sum() < 140


def test_time_stretch_takes_as_many_frames_as_the_drawn_tempo_needs():
    settings = AugmentationConfig(time_stretch=0.1)
    counts = {num_source_frames(ExampleRandom(7, step, 0), settings, 64) for step in range(300)}
    assert counts == set(range(58, 72))  # 64 / 1.1 to 64 / 0.9


def test_stretched_frames_lie_around_the_segment_within_the_chunk():
    first, available = np.array([0, 10, 26]), np.array([90, 90, 90])
    np.testing.assert_array_equal(stretched_from(first, 64, 70, available), [0, 7, 20])
    np.testing.assert_array_equal(stretched_from(first, 64, 60, available), [2, 12, 28])


def test_stretched_stems_of_chunks_of_different_lengths_fit_all_of_them(config):
    index = index_of([1] * 20, num_frames=range(64, 84))
    examples = drawn(config, 300, index, remix=1, time_stretch=0.5)
    available = index.length[examples["chunks"]]
    assert examples["first_frames"].min() == 0
    assert (examples["first_frames"] + examples["num_frames"][:, None] <= available).all()
    assert (examples["num_frames"] <= available.min(axis=1)).all()


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


def test_the_songs_and_offsets_that_are_named_are_those_of_the_batch(config, tmp_path):
    rows = {name: write_noise_song(tmp_path / "songs", config, name) for name in ("Ana - Uno", "Bo - Due")}
    shards = [(name, shard_of(row, config, tmp_path / "cache", num_chunks=2)) for name, row in rows.items()]
    build_index(tmp_path / "cache", shards, config)
    index = read_index(tmp_path / "cache", config)
    step = 3
    mixtures = next(iter(with_chunk_named(training_batches(index, config, first_step=step), index)))[0].numpy()

    places = describe_batch(index, config, step)

    assert len(places) == len(mixtures) == config.batch_size
    for place, mixture in zip(places, mixtures, strict=True):
        song, _, offset = place.removesuffix(" s").rpartition(" at ")
        waveform = read_waveform(rows[song].mixture, sample_rate=config.sample_rate, num_channels=2)
        # The offset has a digit behind the point: the segment starts within half of that.
        nearest = range(round((float(offset) - 0.05) * 8000), round((float(offset) + 0.05) * 8000) + 1)
        errors = []
        for start in nearest:
            part = waveform[start : start + 512 + 63 * 128]
            if len(part) == 512 + 63 * 128:
                found = magnitude_spectrogram(part, frame_length=512, hop_length=128, num_bins=config.num_bins)
                errors.append(np.abs(found - mixture).mean() / mixture.mean())
        assert min(errors) < 0.05  # the codes' rounding; another place of noise would be about 0.5 off
