import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sepcore.signal.blocks import Framing, cross_fade, overlap_add_blocks, overlapping_advance
from sepcore.signal.spectrogram import inverse_stft, stft

FRAME, HOP = 64, 16


def identity_and_half(samples):
    """STFT and back, once as it is and once at half level: two stems."""
    spectrum = stft(samples, frame_length=FRAME, hop_length=HOP)
    return inverse_stft(np.stack([spectrum, spectrum / 2]), frame_length=FRAME, hop_length=HOP)


def run(pieces, block_frames=8, last_multiple=8, threads=1):
    framing = Framing(FRAME, HOP, block_frames, last_multiple)
    parts = list(overlap_add_blocks(pieces, identity_and_half, framing, threads=threads))
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


def test_blocks_on_several_threads_give_the_same_samples():
    waveform = np.random.default_rng(2).standard_normal((5000, 2)).astype(np.float32)
    pieces = np.split(waveform, [700, 710, 3000])
    np.testing.assert_array_equal(run(pieces, threads=3), run([waveform]))


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 900), overlap=st.sampled_from([0.25, 0.5, 0.75, 0.6]), threads=st.sampled_from([1, 3]))
def test_overlapping_blocks_whose_frames_are_cross_faded_give_the_waveform_back_to_both_ends(length, overlap, threads):
    waveform = np.random.default_rng(length).standard_normal((length, 1)).astype(np.float32)
    framing = Framing(FRAME, HOP, 8, 8, overlapping_advance(8, overlap))
    weights = cross_fade(8, framing.advance)[:, None, None]

    def weighed(samples):
        spectrum = stft(samples, frame_length=FRAME, hop_length=HOP) * weights
        return inverse_stft(spectrum[None], frame_length=FRAME, hop_length=HOP)

    parts = list(overlap_add_blocks(np.split(waveform, [length // 3]), weighed, framing, threads=threads))
    np.testing.assert_allclose(np.concatenate(parts, axis=1)[0], waveform, atol=1e-5)
