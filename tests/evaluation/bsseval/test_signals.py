import logging

import numpy as np
import pytest

from sepcore.evaluation.bsseval.signals import aligned, is_silent, spool, window_slices
from tests.evaluation.conftest import noise


@pytest.fixture
def stems():
    return noise(stems=3, samples=1000, channels=2)[0].astype(np.float32)


def test_what_is_appended_in_pieces_is_read_from_anywhere(stems, tmp_path):
    with spool(tmp_path, 3, 2) as spooled:
        for start, stop in ((0, 1), (1, 400), (400, 400), (400, 1000)):
            spooled.append(stems[:, start:stop])
        assert spooled.shape == stems.shape
        np.testing.assert_array_equal(spooled.read(0, 1000), stems)
        np.testing.assert_array_equal(spooled.read(399, 401), stems[:, 399:401])
        assert spooled.read(7, 7).shape == (3, 0, 2)


def test_after_the_end_there_are_zeros(stems, tmp_path):
    with spool(tmp_path, 3, 2) as spooled:
        spooled.append(stems)
        spooled.resize(1200)
        read = spooled.read(900, 1300)
        np.testing.assert_array_equal(read[:, :100], stems[:, 900:])
        assert read.shape == (3, 400, 2)
        assert not read[:, 100:].any()


def test_what_is_cut_is_not_read(stems, tmp_path):
    with spool(tmp_path, 3, 2) as spooled:
        spooled.append(stems)
        spooled.resize(600)
        assert spooled.shape == (3, 600, 2)
        assert not spooled.read(600, 700).any()


def test_nobody_sees_the_file(stems, tmp_path):
    with spool(tmp_path / "made", 3, 2) as spooled:
        spooled.append(stems)
        assert not list((tmp_path / "made").iterdir())


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
