import numpy as np
import pytest

from sepcore.signal.resampler import Resampler


def resampled(waveform, given, wanted, cuts=(), **options):
    resampler = Resampler(given, wanted, waveform.shape[1], **options)
    pieces = [resampler.push(piece) for piece in np.split(waveform, cuts)]
    return np.concatenate([*pieces, resampler.finish()])


def tone(rate, seconds=0.5, hz=440):
    samples = np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)
    return np.stack([samples, -0.5 * samples], axis=1).astype(np.float32)


@pytest.mark.parametrize("wanted", [8000, 22050, 48000, 96000])
def test_a_tone_stays_a_tone_in_step_and_of_the_same_length(wanted):
    out = resampled(tone(44100), 44100, wanted, cuts=[1, 500, 501, 9000])
    expected = tone(wanted)
    assert out.shape == expected.shape
    assert out.dtype == np.float32
    middle = slice(len(out) // 10, -len(out) // 10)
    np.testing.assert_allclose(out[middle], expected[middle], atol=1e-3)


def test_how_the_waveform_is_cut_changes_nothing():
    noise = np.random.default_rng(0).standard_normal((5000, 2)).astype(np.float32)
    np.testing.assert_allclose(
        resampled(noise, 44100, 48000, cuts=[10, 4000]), resampled(noise, 44100, 48000), atol=1e-6
    )


@pytest.mark.parametrize("total", [5441, 5442, 5444])
def test_a_length_that_is_known_is_kept_exactly(total):
    assert len(resampled(np.ones((5000, 1), np.float32), 44100, 48000, total=total)) == total


def test_equal_rates_hand_the_samples_through_and_nothing_gives_nothing():
    noise = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    np.testing.assert_array_equal(resampled(noise, 8000, 8000, cuts=[7]), noise)
    assert resampled(noise[:0], 8000, 44100).shape == (0, 2)
