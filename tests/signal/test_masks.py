import numpy as np
import pytest

from sepcore.signal.masks import extend_masks, ratio_masks


@pytest.fixture
def estimates():
    return np.random.default_rng(0).random((3, 4, 5, 8, 2)).astype(np.float32)


@pytest.mark.parametrize("exponent", [1, 2, 1.5])
def test_masks_add_up_to_one_over_the_stems(estimates, exponent):
    np.testing.assert_allclose(ratio_masks(estimates, exponent=exponent).sum(axis=1), 1, rtol=1e-5)


def test_silent_stems_share_the_bin_equally():
    np.testing.assert_allclose(ratio_masks(np.zeros((4, 1, 1, 1), np.float32), exponent=2), 0.25)


def test_a_stem_twice_as_loud_gets_four_times_the_power():
    masks = ratio_masks(np.array([2.0, 1.0], np.float32).reshape(2, 1, 1, 1), exponent=2)
    np.testing.assert_allclose(masks.ravel(), [0.8, 0.2], rtol=1e-6)


def test_zeros_extension_leaves_high_bins_silent(estimates):
    extended = extend_masks(estimates, num_bins=11, extension="zeros")
    np.testing.assert_array_equal(extended[..., :8, :], estimates)
    assert not extended[..., 8:, :].any()


def test_average_extension_gives_high_bins_the_frames_mean(estimates):
    extended = extend_masks(estimates, num_bins=11, extension="average")
    for high in range(8, 11):
        np.testing.assert_allclose(extended[..., high, :], estimates.mean(axis=-2), rtol=1e-6)
