from itertools import islice

import numpy as np
import pytest
import tensorflow as tf

from sepcore.config.dataset import AugmentationConfig
from sepcore.dataset.augmentation import change_gains, power_sum, resample
from sepcore.dataset.batches import training_batches
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.chunk_reader import read_chunk
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.magnitudes import MagnitudeExamples
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
    batches = islice(training_batches(index, varied, first_step=first_step), count)
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def drawn_for(index, config, num_batches, **augmentation):
    """What was drawn for each example of the first batches."""
    varied = config.model_copy(update={"augmentation": AugmentationConfig(**augmentation)})
    numbers = range(num_batches * config.batch_size)
    return [MagnitudeExamples(index, varied).example(*divmod(number, config.batch_size)) for number in numbers]


def with_gains(mixture, stems, gains):
    """Copies of mixture and stems with other levels."""
    mixture, stems = mixture.copy(), stems.copy()
    change_gains(mixture, stems, np.float32(gains))
    return mixture, stems


def power_sum_of(stems):
    mixture = np.empty_like(stems[0])
    power_sum(stems, out=mixture)
    return mixture


def resampled(signals, num_frames, pitch_factor):
    out = np.full((len(signals), num_frames, *signals.shape[2:]), np.nan, np.float32)
    for signal, result in zip(signals, out, strict=True):
        resample(signal, np.float32(pitch_factor), out=result)
    return out


def interpolated(values, count, axis):
    """Linear interpolation along one axis, from the first value to the last."""
    places = np.linspace(0, values.shape[axis] - 1, count)
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, values)


def test_a_gain_changes_its_stem_and_no_other(stems):
    _, changed = with_gains(stems.sum(axis=0), stems, [2, 1, 0.5])
    np.testing.assert_array_equal(changed, stems * np.float32([2, 1, 0.5])[:, None, None, None])


def test_the_same_gain_for_all_stems_is_the_mixtures_gain(stems):
    mixture = stems[::-1].max(axis=0)
    changed, _ = with_gains(mixture, stems, [0.7, 0.7, 0.7])
    np.testing.assert_allclose(changed, 0.7 * mixture, rtol=1e-6)


def test_where_a_stem_sounds_alone_its_gain_is_the_mixtures_gain(stems):
    stems[1:] = 0
    changed, _ = with_gains(stems[0], stems, [0.7, 2, 3])
    np.testing.assert_allclose(changed, 0.7 * stems[0], rtol=1e-6)


def test_gains_keep_a_mixture_of_powers_one(stems):
    mixture, changed = with_gains(power_sum_of(stems), stems, [2, 1, 0.5])
    np.testing.assert_allclose(mixture, power_sum_of(changed), rtol=1e-6)


def test_the_mixture_stays_as_it_is_where_all_stems_are_silent(stems):
    mixture, _ = with_gains(stems[0], np.zeros_like(stems), [2, 1, 0.5])
    np.testing.assert_array_equal(mixture, stems[0])


def test_a_power_sum_is_what_independent_phases_give_on_average():
    stems = np.float32([3, 4]).reshape(2, 1, 1, 1)
    phases = np.random.default_rng(2).uniform(0, 2 * np.pi, (100_000, 2))
    mean_power = np.mean(np.abs(np.exp(1j * phases) @ [3, 4]) ** 2)
    np.testing.assert_allclose(power_sum_of(stems), 5)
    assert mean_power == pytest.approx(25, rel=0.01)


@pytest.mark.parametrize("num_frames", [1, 7, 9, 12])
@pytest.mark.parametrize("semitones", [-3, 0, 2])
def test_resampling_is_linear_interpolation_of_frames_and_bins(stems, num_frames, semitones):
    shifted_bins = int(16 * 2 ** (semitones / 12))
    expected = interpolated(interpolated(stems, num_frames, 1), shifted_bins, 2)[:, :, :16]
    result = resampled(stems, num_frames, 2 ** (semitones / 12))
    np.testing.assert_allclose(result[:, :, :shifted_bins], expected, rtol=1e-5)
    assert not result[:, :, shifted_bins:].any()


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize(("source_frames", "num_frames"), [(512, 512), (465, 512), (568, 512), (2, 512), (64, 1)])
@pytest.mark.parametrize("semitones", [-12, -0.3, 0, 0.01, 1])
def test_resampling_gives_what_tensorflows_gives(source_frames, num_frames, semitones, num_channels):
    # Magnitudes of some 80 dB, as those of music.
    decibels = np.random.default_rng(3).uniform(-80, 0, (2, source_frames, 128, num_channels))
    signals, factor = (10 ** (decibels / 20)).astype(np.float32), np.float32(2 ** (semitones / 12))
    shifted_bins = int(128 * factor)
    expected = tf.raw_ops.ResizeBilinear(images=signals, size=[num_frames, shifted_bins], align_corners=True)
    result = resampled(signals, num_frames, factor)
    np.testing.assert_allclose(result[:, :, :shifted_bins], expected[:, :, :128], rtol=1e-6)


def test_resampling_by_one_changes_nothing(stems):
    np.testing.assert_array_equal(resampled(stems, 9, 1), stems)


def test_a_tone_moves_to_the_shifted_bin():
    tone = np.zeros((1, 4, 128, 1), np.float32)
    tone[:, :, 60] = 1
    assert resampled(tone, 4, 2 ** (1 / 12))[0, 2, :, 0].argmax() == pytest.approx(60 * 2 ** (1 / 12), abs=1)


def test_all_off_gives_the_chunks_as_they_are(index, config):
    np.testing.assert_equal(
        examples(index, config, 2, gain_db=0, channel_swap=False, remix=0, pitch_shift=0, time_stretch=0),
        examples(index, config, 2),
    )


def test_augmented_batches_come_again_from_the_same_seed_and_from_any_step(index, config):
    whole = examples(index, config, 8, **EVERYTHING)
    np.testing.assert_equal(examples(index, config, 8, **EVERYTHING), whole)
    np.testing.assert_equal(examples(index, config, 3, first_step=5, **EVERYTHING), tuple(part[10:] for part in whole))


def test_gains_and_channel_swaps_are_those_drawn(index, config):
    plain, varied = examples(index, config, 20), examples(index, config, 20, gain_db=6, channel_swap=True)
    for number, drawn in enumerate(drawn_for(index, config, 20, gain_db=6, channel_swap=True)):
        mixture, stems = with_gains(plain[0][number], plain[1][number], drawn.gains)
        order = slice(None, None, -1 if drawn.swapped else 1)
        np.testing.assert_allclose(varied[0][number], mixture[..., order], rtol=1e-6)
        np.testing.assert_allclose(varied[1][number], stems[..., order], rtol=1e-6)


def test_pitch_of_mixture_and_stems_is_shifted_alike(index, config):
    plain, shifted = examples(index, config, 4), examples(index, config, 4, pitch_shift=1)
    for number, drawn in enumerate(drawn_for(index, config, 4, pitch_shift=1)):
        signals = np.concatenate([plain[0][number][None], plain[1][number]])
        expected = interpolated(signals, int(128 * drawn.pitch_factor), 2)[:, :, :128]
        after = np.concatenate([shifted[0][number][None], shifted[1][number]])
        np.testing.assert_allclose(after[:, :, : expected.shape[2]], expected, atol=1e-5 * signals.max())
        assert not after[:, :, expected.shape[2] :].any()


def test_a_stretched_example_is_the_chunks_frames_around_the_segment(index, config):
    mixture, targets = examples(index, config, 4, time_stretch=0.1)
    for number, drawn in enumerate(drawn_for(index, config, 4, time_stretch=0.1)):
        start = drawn.first_frames[0]
        signals = read_chunk(index, int(drawn.chunks[0])).signals
        for stretched, signal in zip([mixture[number], *targets[number]], signals, strict=True):
            expected = interpolated(signal.magnitude()[start : start + drawn.num_frames], 64, 0)
            np.testing.assert_allclose(stretched, expected, atol=1e-5 * expected.max())


def test_a_stretch_that_the_chunk_is_too_short_for_takes_all_of_it(index, config):
    mixture, targets = examples(index, config, 10, time_stretch=0.5)
    assert mixture.shape == (20, 64, 128, 2)
    assert targets.shape == (20, 2, 64, 128, 2)
    assert mixture.all()
