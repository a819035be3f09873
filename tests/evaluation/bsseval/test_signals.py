import numpy as np
import pytest

from sepcore.evaluation.bsseval.signals import spool
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
