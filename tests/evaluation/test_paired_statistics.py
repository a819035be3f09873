import tracemalloc

import numpy as np
import pytest

from sepcore.evaluation.paired_statistics import holm, median_interval, signed_rank_p, tracks_needed


def differences(seed=0, tracks=20, median=0.0):
    return np.random.default_rng(seed).normal(median, 1.0, tracks)


def test_the_interval_holds_the_true_median_about_as_often_as_it_says():
    intervals = [median_interval(differences(seed, median=0.3), confidence=0.9, resamples=400) for seed in range(300)]
    covered = np.mean([low <= 0.3 <= high for low, high in intervals])
    # 0.9 give or take four standard errors of 300 trials, and what the bootstrap of a median is off by.
    assert 0.83 < covered < 0.97


def test_the_interval_narrows_with_the_root_of_the_number_of_tracks():
    few, many = (np.diff(median_interval(differences(1, tracks), resamples=2000))[0] for tracks in (50, 5000))
    assert 5 < few / many < 20


def test_swapping_the_models_negates_the_interval_and_keeps_p():
    values = differences(2, median=0.2)
    low, high = median_interval(values)
    np.testing.assert_allclose(median_interval(-values), (-high, -low), atol=1e-12)
    assert signed_rank_p(-values) == signed_rank_p(values)


def test_one_difference_moves_the_interval_by_as_much():
    values = differences(3)
    np.testing.assert_allclose(median_interval(values + 2), np.add(median_interval(values), 2))


def test_the_same_seed_gives_the_same_interval_and_another_one_nearly_so():
    values = differences(4)
    first, other = median_interval(values, resamples=999), median_interval(values, resamples=999, seed=1)
    assert median_interval(values, resamples=999) == first
    assert other != first
    np.testing.assert_allclose(other, first, atol=0.2)


def test_the_interval_of_very_many_tracks_takes_little_memory():
    values = differences(5, 100_000)
    tracemalloc.start()
    low, high = median_interval(values, resamples=50)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All drawings at once would be 40 MB of places and 40 MB of differences.
    assert peak_bytes < 40e6
    assert low < np.median(values) < high


@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_equal_differences_are_an_interval_of_no_width(tracks):
    assert median_interval(np.full(tracks, -0.5)) == (-0.5, -0.5)


def test_of_few_tracks_the_interval_is_all_that_was_seen():
    values = np.array([0.4, -0.1, 0.2, 3.0, 0.9])
    assert median_interval(values) == (-0.1, 3.0)


def test_without_any_difference_p_is_one():
    assert signed_rank_p(np.zeros(10)) == 1.0
    assert signed_rank_p(np.zeros(0)) == 1.0


@pytest.mark.parametrize("values", [[1.0, 2, 3, 4, 5, 6], [1.0, 1, 1, 1, 1, 1], [1.0, 2, 3, 4, 5, 6, 0, 0, 0]])
def test_six_tracks_of_one_sign_have_the_exact_p_ties_and_zeros_or_not(values):
    assert signed_rank_p(np.array(values)) == pytest.approx(2 / 2**6)


def test_p_is_evenly_spread_where_nothing_differs():
    p = np.array([signed_rank_p(differences(seed, 15)) for seed in range(400)])
    assert np.mean(p < 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p < 0.5) == pytest.approx(0.5, abs=0.08)


def test_holm_multiplies_the_smallest_p_by_all_and_never_lets_a_larger_one_come_out_smaller():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.9])), [0.09, 0.04, 0.09, 0.9])
    np.testing.assert_allclose(holm(np.array([0.5, 0.6])), [1.0, 1.0])
    np.testing.assert_allclose(holm(np.array([0.02])), [0.02])


@pytest.mark.parametrize(("confidence", "needed"), [(0.5, 2), (0.75, 3), (0.9, 5), (0.95, 6), (0.99, 8), (0.999, 11)])
def test_from_the_needed_number_of_tracks_on_the_test_can_reach_the_level(confidence, needed):
    assert tracks_needed(confidence) == needed
    assert signed_rank_p(np.arange(1.0, needed + 1)) <= 1 - confidence + 1e-12
    assert signed_rank_p(np.arange(1.0, needed)) > 1 - confidence


@pytest.mark.parametrize(
    "options", [{"confidence": 1.0}, {"confidence": 0.0}, {"confidence": float("nan")}, {"resamples": 0}]
)
def test_an_interval_of_nothing_is_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        median_interval(differences(), **options)
