import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepcore.signal.blocks import overlap_add_blocks
from sepcore.signal.spectrogram import inverse_stft, stft

FRAME, HOP = 64, 16


def identity_and_half(samples):
    """STFT and back, once as it is and once at half level: two stems."""
    spectrum = stft(samples, frame_length=FRAME, hop_length=HOP)
    return inverse_stft(np.stack([spectrum, spectrum / 2]), frame_length=FRAME, hop_length=HOP)


def run(pieces, block_frames=8, last_multiple=8):
    parts = overlap_add_blocks(
        pieces, identity_and_half, frame_length=FRAME, hop_length=HOP,
        block_frames=block_frames, last_multiple=last_multiple,
    )  # fmt: skip
    parts = list(parts)
    return np.concatenate(parts, axis=1) if parts else np.zeros((2, 0, 1), np.float32)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(0, 700), cuts=st.lists(st.integers(0, 700), max_size=5), multiple=st.sampled_from([1, 2, 8]))
def test_any_length_cut_anyhow_comes_back_whole(length, cuts, multiple):
    waveform = np.random.default_rng(length).standard_normal((length, 1)).astype(np.float32)
    pieces = np.split(waveform, sorted(min(cut, length) for cut in cuts))
    stems = run(pieces, last_multiple=multiple)
    np.testing.assert_allclose(stems[0], waveform, atol=1e-5)
    np.testing.assert_array_equal(stems, run([waveform], last_multiple=multiple))


def test_the_block_length_does_not_change_the_result():
    waveform = np.random.default_rng(1).standard_normal((500, 1)).astype(np.float32)
    np.testing.assert_allclose(run([waveform], block_frames=8), run([waveform], block_frames=64), atol=1e-6)


@pytest.mark.parametrize("pieces", [[], [np.zeros((0, 1), np.float32)]])
def test_nothing_in_gives_nothing_out(pieces):
    assert run(pieces).shape[1] == 0
