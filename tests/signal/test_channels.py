import numpy as np
import pytest

from sepcore.signal.channels import to_channels


def test_mono_is_doubled():
    mono = np.array([[0.5], [-0.25]], np.float32)
    np.testing.assert_array_equal(to_channels(mono, 2), np.repeat(mono, 2, axis=1))


def test_stereo_becomes_mono_as_its_mean():
    np.testing.assert_array_equal(to_channels(np.array([[1.0, 0.0]], np.float32), 1), [[0.5]])


def test_the_centre_of_surround_is_heard_on_both_sides_and_full_scale_does_not_clip():
    center = np.zeros((1, 6), np.float32)
    center[:, 2] = 1
    left, right = to_channels(center, 2)[0]
    assert left == right > 0.2
    assert np.abs(to_channels(np.ones((1, 6), np.float32), 2)).max() <= 1 + 1e-6


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match="waveform has 12 channels; the model takes 2"):
        to_channels(np.zeros((1, 12), np.float32), 2)
