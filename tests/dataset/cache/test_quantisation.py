import numpy as np
import pytest

from sepcore.dataset.cache.quantisation import decode, encode


@pytest.fixture
def magnitude():
    """Magnitudes spread over 100 dB, as music's are."""
    return (10 ** np.random.default_rng(0).uniform(-4, 1, (50, 40, 2))).astype(np.float32)


def decibels(magnitude):
    return 20 * np.log10(magnitude)


def test_magnitudes_come_back_within_half_a_step_of_the_100_db_range(magnitude):
    restored = decode(*encode(magnitude))
    assert restored.dtype == np.float32
    assert np.abs(decibels(restored) - decibels(magnitude)).max() < 0.2


def test_rounding_is_closer_than_spleeters_truncation(magnitude):
    codes, min_db, max_db = encode(magnitude)
    truncated = np.floor((decibels(magnitude) - min_db) / (max_db - min_db) * 255.9999) / 255.9999
    truncated = 10 ** ((truncated * (max_db - min_db) + min_db) / 20)
    rounded_error = np.square(decode(codes, min_db, max_db) - magnitude).mean()
    assert rounded_error < 0.4 * np.square(truncated - magnitude).mean()


def test_what_is_more_than_100_db_below_the_loudest_bin_is_raised_to_that(magnitude):
    codes, min_db, max_db = encode(np.append(magnitude, np.float32(1e-8)))
    assert codes[-1] == 0
    assert max_db - min_db == pytest.approx(100, abs=1e-3)


def test_the_whole_range_of_codes_is_used(magnitude):
    codes, _, _ = encode(magnitude)
    assert (codes.dtype, codes.min(), codes.max()) == (np.uint8, 0, 255)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_silence_stays_silent(dtype):
    restored = decode(*encode(np.zeros((4, 3, 2), np.float32), dtype))
    assert np.isfinite(restored).all()
    assert restored.max() <= 1e-9


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_a_constant_comes_back_as_it_was(dtype):
    np.testing.assert_allclose(decode(*encode(np.full(5, 0.25, np.float32), dtype)), 0.25, rtol=2e-6)


@pytest.mark.parametrize("level", [1e-4, 1, 1e5])
def test_float16_is_close_down_to_150_db_below_the_loudest_bin_whatever_its_level(level):
    magnitude = (level * 10 ** np.linspace(0, -7.5, 5000)).astype(np.float32)
    codes, min_db, max_db = encode(magnitude, "float16")
    assert codes.dtype == np.dtype("<f2")
    assert codes.min() > np.finfo(np.float16).smallest_normal
    assert np.abs(decibels(decode(codes, min_db, max_db)) - decibels(magnitude)).max() < 0.005


def test_float16_comes_with_the_levels_of_its_quietest_and_loudest_bin():
    _, min_db, max_db = encode(np.array([0.01, 1, 10], np.float32), "float16")
    assert (min_db, max_db) == pytest.approx((-40, 20), abs=1e-4)


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_the_magnitudes_given_are_not_changed(magnitude, dtype):
    before = magnitude.copy()
    encode(magnitude, dtype)
    np.testing.assert_array_equal(magnitude, before)
