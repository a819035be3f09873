import numpy as np
import pytest
import scipy.signal

from sepcore.signal.windows import analysis_window, synthesis_window


def test_hanns_window_is_scipys_periodic_one():
    np.testing.assert_allclose(analysis_window("hann", 512), scipy.signal.get_window("hann", 512), atol=1e-7)


def test_a_rectangular_window_leaves_the_frame_as_it_is():
    assert (analysis_window("rectangular", 512) == 1).all()


@pytest.mark.parametrize("kind", ["hann", "rectangular"])
@pytest.mark.parametrize("hops", [3, 4, 8])
def test_both_windows_together_add_up_to_one_over_the_overlapping_frames(kind, hops):
    frame = hops * 64
    product = analysis_window(kind, frame).astype(float) * synthesis_window(kind, frame, 64)
    np.testing.assert_allclose(product.reshape(hops, 64).sum(axis=0), 1, atol=1e-6)


def test_windows_are_shared_and_cannot_be_written_to():
    for window in (analysis_window("hann", 512), synthesis_window("rectangular", 512, 128)):
        with pytest.raises(ValueError, match="read-only"):
            window[0] = 2
