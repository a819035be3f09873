import numpy as np
import pytest

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.draws import ExampleRandom
from sepcore.dataset.magnitudes import MagnitudeExamples, num_source_frames, stretched_from
from tests.dataset.conftest import index_of

EVERYTHING = {"gain_db": 6, "channel_swap": True, "remix": 0.5, "pitch_shift": 1, "time_stretch": 0.1}


def drawn(config, count, index=None, **augmentation):
    """The first examples, each field as an array of all of them."""
    varied = config.model_copy(update={"augmentation": AugmentationConfig(**augmentation)})
    examples = MagnitudeExamples(index or index_of([2, 2, 2, 2]), varied)
    pairs = [examples.example(*divmod(number, config.batch_size)) for number in range(count)]
    return {name: np.array(values) for name, values in zip(pairs[0]._fields, zip(*pairs, strict=True), strict=True)}


def chunks_and_starts(config, count, num_chunks=5):
    examples = MagnitudeExamples(index_of([num_chunks]), config)
    return [examples.crop(*divmod(number, config.batch_size)) for number in range(count)]


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
    index = index_of([1] * 20, length=range(64, 84))
    examples = drawn(config, 300, index, remix=1, time_stretch=0.5)
    available = index.length[examples["chunks"]]
    assert examples["first_frames"].min() == 0
    assert (examples["first_frames"] + examples["num_frames"][:, None] <= available).all()
    assert (examples["num_frames"] <= available.min(axis=1)).all()
