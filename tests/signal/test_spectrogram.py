import numpy as np
import pytest
import scipy.signal

from sepcore.signal.spectrogram import hann_window, inverse_stft, magnitude_spectrogram, num_frames, stft


@pytest.fixture
def waveform():
    return np.random.default_rng(0).standard_normal((5000, 2)).astype(np.float32)


def test_frames_are_scipys(waveform):
    ours = stft(waveform, frame_length=512, hop_length=128)
    transform = scipy.signal.ShortTimeFFT(hann_window(512), hop=128, fs=1, phase_shift=None)
    first = 256 // 128  # scipy's first frame is centred on sample 0
    theirs = transform.stft(waveform.T)[:, :, -transform.p_min + first :][:, :, : len(ours)]
    np.testing.assert_allclose(ours, theirs.transpose(2, 1, 0), atol=2e-4)


@pytest.mark.parametrize("hop", [64, 128])
def test_the_inverse_gives_the_waveform_back_where_all_frames_overlap(waveform, hop):
    spectrum = stft(waveform, frame_length=512, hop_length=hop)
    again = inverse_stft(spectrum, frame_length=512, hop_length=hop)
    inner = slice(512, len(again) - 512)
    np.testing.assert_allclose(again[inner], waveform[inner], atol=1e-5)


def test_a_waveform_shorter_than_a_window_has_no_frames():
    assert stft(np.zeros((100, 2), np.float32), frame_length=512, hop_length=128).shape == (0, 257, 2)


def test_magnitudes_are_those_of_the_lowest_bins(waveform):
    magnitudes = magnitude_spectrogram(waveform, frame_length=512, hop_length=128, num_bins=64)
    np.testing.assert_allclose(magnitudes, np.abs(stft(waveform, frame_length=512, hop_length=128))[:, :64])


@pytest.mark.parametrize(("samples", "frames"), [(0, 4), (1, 5), (128, 5), (129, 6)])
def test_separation_counts_one_window_of_zeros_in_front_and_pads_the_end(samples, frames):
    assert num_frames(samples, 512, 128) == frames
