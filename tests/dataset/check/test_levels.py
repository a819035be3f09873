import numpy as np
import pytest

from sepcore.dataset.check.levels import FLOOR_DB, LevelMeter

RATE = 1000  # a 0.1 s frame is 100 samples


def metered(samples, block_samples=None):
    meter = LevelMeter(RATE, samples.shape[1])
    step = block_samples or len(samples)
    for start in range(0, len(samples), step):
        meter.add(samples[start : start + step].astype(np.float32))
    return meter


def numbers_of(meter):
    return meter.num_samples, meter.num_nan, meter.num_clipped, meter.peak, meter.rms_db, meter.silence_share


def column(*values):
    return np.array(values, np.float32)[:, None]


def test_a_full_scale_sine_has_a_peak_of_1_and_an_rms_of_minus_3_db():
    sine = np.sin(2 * np.pi * 10 * np.arange(RATE) / RATE)[:, None]
    meter = metered(sine)
    assert meter.peak == pytest.approx(1)
    assert meter.rms_db == pytest.approx(-3.0103, abs=1e-3)


def test_the_rms_is_over_all_channels():
    assert metered(np.array([[0.5, 0.0]] * RATE)).rms_db == pytest.approx(20 * np.log10(0.5) - 3.0103, abs=1e-3)


def test_the_peak_is_the_largest_absolute_value():
    assert metered(column(0.1, -0.75, 0.5)).peak == 0.75


def test_digital_silence_is_at_the_floor():
    meter = metered(np.zeros((RATE, 2)))
    assert (meter.peak, meter.rms_db, meter.silence_share) == (0, FLOOR_DB, 1)


def test_the_silence_share_counts_the_frames_below_minus_60_dbfs():
    samples = np.full((RATE, 2), 0.00099)  # -60.09 dBFS
    samples[:300] = 0.00101  # -59.91 dBFS
    assert metered(samples).silence_share == pytest.approx(0.7)


@pytest.mark.parametrize(("level", "share"), [(0.0, 1.0), (0.1, 0.0)])
def test_a_signal_shorter_than_a_frame_is_silent_or_not(level, share):
    assert metered(np.full((7, 1), level)).silence_share == share


def test_nan_and_infinite_values_are_counted_and_stand_for_silence_elsewhere():
    samples = np.full((RATE, 2), 0.5)
    clean = samples.copy()
    clean[10], clean[20, 0] = 0, 0
    samples[10], samples[20, 0] = np.nan, -np.inf
    meter = metered(samples)
    assert meter.num_nan == 3
    assert numbers_of(meter)[2:] == numbers_of(metered(clean))[2:]


def test_the_block_is_given_back_without_nan():
    block = np.array([[np.nan, 0.25]], np.float32)
    np.testing.assert_array_equal(LevelMeter(RATE, 2).add(block), [[0, 0.25]])
    assert np.isnan(block[0, 0])


@pytest.mark.parametrize(
    ("values", "clipped"),
    [
        ((0, 1, 1, 1, 0), 3),
        ((0, 1, 1, 1, 1, 1, 0), 5),
        ((1, 1, 1, 0, -1, -1, -1, -1), 7),
        ((32767 / 32768,) * 4, 4),
        ((0, 1, 1, 0, 1, 0), 0),  # no flat top
        ((1, -1, 1, -1, 1), 0),  # full scale, but not the same
        ((1.1, 1.2, 1.3, 1.2), 0),  # what a lossy codec decodes to
        ((1.5, 1.5, 1.5), 3),
        ((0.9,) * 10, 0),
    ],
)
def test_clipped_values_are_those_of_flat_tops_at_full_scale(values, clipped):
    assert metered(column(*values)).num_clipped == clipped


def test_channels_clip_apart():
    assert metered(np.array([[1, 0], [1, 1], [1, 1], [0, 1]])).num_clipped == 6


@pytest.mark.parametrize("block_samples", [1, 2, 3, 7, 100, 333])
def test_no_number_depends_on_the_blocks(block_samples):
    rng = np.random.default_rng(1)
    samples = np.clip(rng.normal(0, 0.7, (1234, 2)), -1, 1)
    samples[rng.random(1234) < 0.3] = 1
    samples[500:900] *= 1e-4
    samples[1000, 1] = np.nan
    whole = numbers_of(metered(samples))
    assert whole[2] > 100
    assert numbers_of(metered(samples, block_samples)) == pytest.approx(whole, rel=1e-6)
