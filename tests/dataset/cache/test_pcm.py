import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sepcore.dataset.cache.pcm import BeyondScale, encode_pcm, residual_db, second_levels

STEPS = {"int16": 2.0**-15, "int24": 2.0**-23}


def waveform_of(seed, num_samples, num_channels, peak):
    """Noise with its largest sample at a peak."""
    noise = np.random.default_rng(seed).uniform(-1, 1, (num_samples, num_channels))
    return (noise / np.abs(noise).max() * peak).astype(np.float32)


@given(
    seed=st.integers(0, 2**32),
    num_samples=st.integers(1, 300),
    num_channels=st.integers(1, 2),
    dtype=st.sampled_from(["int16", "int24"]),
    peak=st.floats(0.0, 255.0),
)
def test_a_waveform_comes_back_within_half_a_step_whatever_its_level(seed, num_samples, num_channels, dtype, peak):
    waveform = waveform_of(seed, num_samples, num_channels, peak)
    signal = encode_pcm(waveform, dtype, sample_rate=100)
    error = np.abs(signal.waveform().astype(np.float64) - waveform).max()
    # The step of the signal that was asked for, unless 24 bits are scaled; never more than that of 16 bits.
    assert error <= STEPS[dtype] / 2 * (1 if dtype == "int16" else signal.scale)
    assert error <= STEPS["int16"] / 2
    assert signal.scale == 1 or peak > 0.999 * signal.scale / 2


@pytest.mark.parametrize("dtype", ["int16", "int24"])
@pytest.mark.parametrize("code", [0, 1, -1, 2**14, -(2**15), 2**15 - 1])
def test_samples_of_16_bit_recordings_are_exact(dtype, code):
    waveform = np.full((3, 2), code / 2**15, np.float32)
    signal = encode_pcm(waveform, dtype, sample_rate=8000)
    np.testing.assert_array_equal(signal.waveform(), waveform)
    assert (signal.dtype, signal.scale) == (dtype, 1)


def test_sums_of_16_bit_recordings_beyond_full_scale_are_exact_in_24_bits():
    waveform = np.float32([[2**15, -(2**16) - 1], [3 * 2**15 + 1, 5]]) / np.float32(2**15)
    signal = encode_pcm(waveform, "int16", sample_rate=8000)
    np.testing.assert_array_equal(signal.waveform(), waveform)
    assert (signal.dtype, signal.scale) == ("int24", 4)


@pytest.mark.parametrize("value", [256.5, -300.0, 32767.0, np.inf, np.nan])
def test_what_looks_like_integers_is_refused(value):
    with pytest.raises(BeyondScale, match="256"):
        encode_pcm(np.float32([[0.1], [value]]), "int24", sample_rate=8000)


@pytest.mark.parametrize("dtype", ["int16", "int24"])
def test_a_silent_signal_is_silent(dtype):
    signal = encode_pcm(np.zeros((250, 2), np.float32), dtype, sample_rate=100)
    assert not any(signal.codes)
    assert signal.levels_db == (-180.0,) * 3


def test_levels_are_those_of_each_second():
    waveform = np.zeros((250, 2), np.float32)
    waveform[100:200, 0], waveform[200:] = 1, 0.5
    assert second_levels(waveform, 100) == pytest.approx((-180, -3.01, -6.02), abs=0.01)


def test_the_residual_is_the_level_of_what_the_stems_lack():
    stems = np.random.default_rng(0).uniform(-0.2, 0.2, (3, 1000, 2)).astype(np.float32)
    assert residual_db([stems.sum(axis=0), *stems]) < -140
    assert residual_db([stems.sum(axis=0) + np.float32(0.1), *stems]) == pytest.approx(-20, abs=1e-3)


@pytest.mark.parametrize(("dtype", "peak_db", "is_silent"), [("int16", -100, True), ("int24", -100, False)])
def test_levels_are_of_what_is_stored(dtype, peak_db, is_silent):
    signal = encode_pcm(waveform_of(1, 300, 2, 10 ** (peak_db / 20)), dtype, sample_rate=100)
    assert [level == -180 for level in signal.levels_db] == [is_silent] * 3
    assert signal.levels_db == pytest.approx(second_levels(signal.waveform(), 100))
