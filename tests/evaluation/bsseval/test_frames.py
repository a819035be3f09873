import logging

import numpy as np
import pytest

from sepcore.evaluation.bsseval.frames import aligned, is_silent, window_slices
from tests.evaluation.conftest import noise


@pytest.mark.parametrize(
    ("length", "window", "hop", "starts"),
    [(10, 4, 4, [0, 4]), (12, 4, 4, [0, 4, 8]), (10, 4, 2, [0, 2, 4, 6]), (4, 4, 1, [0]), (3, 4, 4, [0])],
)
def test_windows_are_whole_and_a_short_track_is_one(length, window, hop, starts):
    slices = window_slices(length, window, hop)
    assert [part.start for part in slices] == starts
    assert all(part.stop == min(part.start + window, length) for part in slices)


@pytest.mark.parametrize(("window", "hop"), [(0, 1), (1, 0)])
def test_a_window_without_samples_is_refused(window, hop):
    with pytest.raises(ValueError, match="expected samples, at least 1"):
        window_slices(10, window, hop)


def test_a_stem_is_silent_when_its_channels_cancel_everywhere():
    stems = np.zeros((3, 5, 2))
    stems[1] = [1.0, -1.0]
    stems[2, 3, 0] = 1e-30
    assert is_silent(stems).tolist() == [True, True, False]


def test_estimates_are_cut_or_filled_to_the_references_length_with_a_warning(caplog):
    references, estimates = noise(samples=10)
    with caplog.at_level(logging.WARNING):
        _, cut = aligned(references[:, :7], estimates)
        _, filled = aligned(references, estimates[:, :7])
    assert cut.shape == (2, 7, 1)
    np.testing.assert_array_equal(cut.read(0, 7), estimates[:, :7])
    assert filled.shape == references.shape
    np.testing.assert_array_equal(filled.read(0, 7), estimates[:, :7])
    assert not filled.read(7, 10).any()
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


@pytest.mark.parametrize(
    ("references", "estimates", "message"),
    [
        (np.ones((2, 9)), np.ones((2, 9)), "expected .stems, samples, channels."),
        (np.ones((2, 0, 1)), np.ones((2, 0, 1)), "expected .stems, samples, channels."),
        (np.ones((2, 9, 1)), np.ones((1, 9, 1)), "stems and channels must be equal"),
        (np.ones((2, 9, 1)), np.ones((2, 9, 2)), "stems and channels must be equal"),
        (np.ones((2, 2, 500)), np.ones((2, 2, 500)), "more channels than samples"),
    ],
)
def test_what_cannot_be_compared_is_refused(references, estimates, message):
    with pytest.raises(ValueError, match=message):
        aligned(references, estimates)
