from itertools import islice

import numpy as np
import pytest

from sepcore.config_dataset import AugmentationConfig
from sepcore.dataset.augmentation import (
    Draw,
    ExampleRandom,
    change_gains,
    num_source_frames,
    power_sum,
    resample,
    stretched_from,
)
from sepcore.dataset.batches import training_batches, training_crops, with_chunk_named
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.verify import read_chunk
from tests.dataset.cache.conftest import shard_of
from tests.dataset.conftest import write_noise_song

EVERYTHING = {"gain_db": 6, "channel_swap": True, "remix": 0.5, "pitch_shift": 1, "time_stretch": 0.1}


@pytest.fixture(scope="module")
def index(config, tmp_path_factory):
    """Eight chunks of four songs."""
    folder = tmp_path_factory.mktemp("cache")
    rows = [write_noise_song(tmp_path_factory.mktemp("songs"), config, name) for name in "abcd"]
    build_index(folder, [(row.name, shard_of(row, config, folder, num_chunks=2)) for row in rows], config)
    return read_index(folder, config)


@pytest.fixture
def stems():
    """Three stems of 9 frames, 16 bins and 2 channels."""
    return np.random.default_rng(1).uniform(0.1, 1, (3, 9, 16, 2)).astype(np.float32)


def examples(index, config, count, *, first_step=0, **augmentation):
    """``(mixture, targets)`` of so many batches."""
    varied = config.model_copy(update={"augmentation": AugmentationConfig(**augmentation)})
    batches = with_chunk_named(training_batches(index, varied, first_step=first_step), index)
    pairs = [(mixture.numpy(), targets.numpy()) for mixture, targets in islice(batches, count)]
    return tuple(np.concatenate(parts) for parts in zip(*pairs, strict=True))


def interpolated(values, count, axis):
    """Linear interpolation along one axis, from the first value to the last."""
    places = np.linspace(0, values.shape[axis] - 1, count)
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, values)


def each_is_one_of(values, *choices):
    """Which choice each example equals."""
    equal = [[np.array_equal(value, of[number]) for of in choices] for number, value in enumerate(values)]
    assert all(sum(row) == 1 for row in equal)
    return [row.index(True) for row in equal]


def test_a_gain_changes_its_stem_and_no_other(stems):
    _, changed = change_gains(stems.sum(axis=0), stems, np.float32([2, 1, 0.5]))
    np.testing.assert_array_equal(changed, stems * np.float32([2, 1, 0.5])[:, None, None, None])


def test_the_same_gain_for_all_stems_is_the_mixtures_gain(stems):
    mixture = stems[::-1].max(axis=0)
    changed, _ = change_gains(mixture, stems, np.float32([0.7, 0.7, 0.7]))
    np.testing.assert_allclose(changed, 0.7 * mixture, rtol=1e-6)


def test_where_a_stem_sounds_alone_its_gain_is_the_mixtures_gain(stems):
    stems[1:] = 0
    changed, _ = change_gains(stems[0], stems, np.float32([0.7, 2, 3]))
    np.testing.assert_allclose(changed, 0.7 * stems[0], rtol=1e-6)


def test_gains_keep_a_mixture_of_powers_one(stems):
    mixture, changed = change_gains(power_sum(stems), stems, np.float32([2, 1, 0.5]))
    np.testing.assert_allclose(mixture, power_sum(changed), rtol=1e-6)


def test_the_mixture_stays_as_it_is_where_all_stems_are_silent(stems):
    mixture, _ = change_gains(stems[0], np.zeros_like(stems), np.float32([2, 1, 0.5]))
    np.testing.assert_array_equal(mixture, stems[0])


def test_a_power_sum_is_what_independent_phases_give_on_average():
    stems = np.float32([3, 4]).reshape(2, 1, 1, 1)
    phases = np.random.default_rng(2).uniform(0, 2 * np.pi, (100_000, 2))
    mean_power = np.mean(np.abs(np.exp(1j * phases) @ [3, 4]) ** 2)
    np.testing.assert_allclose(power_sum(stems), 5)
    assert mean_power == pytest.approx(25, rel=0.01)


@pytest.mark.parametrize("num_frames", [7, 9, 12])
@pytest.mark.parametrize("semitones", [-3, 0, 2])
def test_resampling_is_linear_interpolation_of_frames_and_bins(stems, num_frames, semitones):
    resampled = resample(stems, num_frames, np.float32(2 ** (semitones / 12))).numpy()
    shifted_bins = int(16 * 2 ** (semitones / 12))
    expected = interpolated(interpolated(stems, num_frames, 1), shifted_bins, 2)[:, :, :16]
    assert resampled.shape == (3, num_frames, 16, 2)
    np.testing.assert_allclose(resampled[:, :, :shifted_bins], expected, rtol=1e-5)
    assert not resampled[:, :, shifted_bins:].any()


def test_resampling_by_one_changes_nothing(stems):
    np.testing.assert_array_equal(resample(stems, 9, np.float32(1)), stems)


def test_a_tone_moves_to_the_shifted_bin():
    tone = np.zeros((1, 4, 128, 1), np.float32)
    tone[:, :, 60] = 1
    assert resample(tone, 4, np.float32(2 ** (1 / 12))).numpy()[0, 2, :, 0].argmax() == pytest.approx(
        60 * 2 ** (1 / 12), abs=1
    )


def test_time_stretch_takes_as_many_frames_as_the_drawn_tempo_needs():
    settings = AugmentationConfig(time_stretch=0.1)
    counts = {int(num_source_frames(ExampleRandom(*np.int64([7, i])), settings, 64)) for i in range(300)}
    assert counts == set(range(58, 72))  # 64 / 1.1 to 64 / 0.9


def test_stretched_frames_lie_around_the_segment_within_the_chunk():
    first = np.array([0, 10, 26])
    np.testing.assert_array_equal(stretched_from(first, 64, 70, 90), [0, 7, 20])
    np.testing.assert_array_equal(stretched_from(first, 64, 60, 90), [2, 12, 28])


def test_all_off_gives_the_chunks_as_they_are(index, config):
    np.testing.assert_equal(
        examples(index, config, 2, gain_db=0, channel_swap=False, remix=0, pitch_shift=0, time_stretch=0),
        examples(index, config, 2),
    )


def test_augmented_batches_come_again_from_the_same_seed_and_from_any_step(index, config):
    whole = examples(index, config, 8, **EVERYTHING)
    np.testing.assert_equal(examples(index, config, 8, **EVERYTHING), whole)
    np.testing.assert_equal(examples(index, config, 3, first_step=5, **EVERYTHING), tuple(part[10:] for part in whole))


def test_another_seed_varies_otherwise(index, config):
    other = config.model_copy(update={"random_seed": 8})
    assert not np.array_equal(examples(index, config, 1, gain_db=6)[0], examples(index, other, 1, gain_db=6)[0])


def test_each_stem_gets_a_gain_of_its_own_within_the_range(index, config):
    _, plain = examples(index, config, 20)
    _, louder = examples(index, config, 20, gain_db=6)
    gains_db = 20 * np.log10(louder / plain)
    of_stem = gains_db.mean(axis=(2, 3, 4))
    np.testing.assert_allclose(gains_db, np.broadcast_to(of_stem[..., None, None, None], gains_db.shape), atol=1e-4)
    assert of_stem.min() == pytest.approx(-6, abs=1)
    assert of_stem.max() == pytest.approx(6, abs=1)
    assert len(np.unique(of_stem.round(3))) == of_stem.size


def test_channels_of_mixture_and_stems_are_swapped_together_in_half_of_the_examples(index, config):
    plain, swapped = examples(index, config, 30), examples(index, config, 30, channel_swap=True)
    of_mixture, of_stems = (
        each_is_one_of(after, before, before[..., ::-1]) for before, after in zip(plain, swapped, strict=True)
    )
    assert of_mixture == of_stems
    assert 20 <= sum(of_mixture) <= 40  # of 60


def test_an_augmentation_draws_the_same_whatever_else_is_on(index, config):
    gains_only = examples(index, config, 10, gain_db=6)
    with_swap = examples(index, config, 10, gain_db=6, channel_swap=True)
    swapped = each_is_one_of(with_swap[1], gains_only[1], gains_only[1][..., ::-1])
    plain, swap_only = examples(index, config, 10), examples(index, config, 10, channel_swap=True)
    assert swapped == each_is_one_of(swap_only[1], plain[1], plain[1][..., ::-1])
    assert len(set(swapped)) == 2


def test_pitch_of_mixture_and_stems_is_shifted_alike(index, config):
    plain, shifted = examples(index, config, 4), examples(index, config, 4, pitch_shift=1)
    for example, (mixture, targets) in enumerate(zip(*plain, strict=True)):
        semitones = ExampleRandom(*np.int64([config.random_seed, example])).uniform(Draw.PITCH, -1, 1)
        signals = np.concatenate([mixture[None], targets])
        expected = interpolated(signals, int(128 * 2 ** (float(semitones) / 12)), 2)[:, :, :128]
        after = np.concatenate([shifted[0][example][None], shifted[1][example]])
        np.testing.assert_allclose(after[:, :, : expected.shape[2]], expected, atol=1e-5 * signals.max())
        assert not after[:, :, expected.shape[2] :].any()


def test_a_stretched_example_is_the_chunks_frames_around_the_segment(index, config):
    mixture, targets = examples(index, config, 4, time_stretch=0.1)
    settings = AugmentationConfig(time_stretch=0.1)
    for example, chunk, first in training_crops(index, config).take(len(mixture)).as_numpy_iterator():
        frames = int(num_source_frames(ExampleRandom(*np.int64([config.random_seed, example])), settings, 64))
        start = min(max(first - (frames - 64) // 2, 0), config.chunk_frames - frames)
        signals = read_chunk(index.folder, index.record(int(chunk))).signals
        for stretched, signal in zip([mixture[example], *targets[example]], signals, strict=True):
            expected = interpolated(signal.magnitude()[start : start + frames], 64, 0)
            np.testing.assert_allclose(stretched, expected, atol=1e-5 * expected.max())


def test_a_stretch_that_the_chunk_is_too_short_for_takes_all_of_it(index, config):
    mixture, targets = examples(index, config, 10, time_stretch=0.5)
    assert mixture.shape == (20, 64, 128, 2)
    assert targets.shape == (20, 2, 64, 128, 2)
    assert mixture.all()
