import numpy as np
import pytest
import scipy.signal

from sepcore.signal.spectrogram import (
    inverse_stft,
    magnitude_spectrogram,
    num_frames,
    stft,
)
from sepcore.signal.windows import analysis_window, synthesis_window


@pytest.fixture
def waveform():
    return np.random.default_rng(0).standard_normal((5000, 2)).astype(np.float32)


def test_frames_are_scipys(waveform):
    ours = stft(waveform, frame_length=512, hop_length=128)
    transform = scipy.signal.ShortTimeFFT(analysis_window("hann", 512), hop=128, fs=1, phase_shift=None)
    first = 256 // 128  # scipy's first frame is centered on sample 0
    theirs = transform.stft(waveform.T)[:, :, -transform.p_min + first :][:, :, : len(ours)]
    np.testing.assert_allclose(ours, theirs.transpose(2, 1, 0), atol=2e-4)


@pytest.mark.parametrize("hop", [64, 128])
def test_the_inverse_gives_the_waveform_back_where_all_frames_overlap(waveform, hop):
    spectrum = stft(waveform, frame_length=512, hop_length=hop)
    again = inverse_stft(spectrum, frame_length=512, hop_length=hop)
    inner = slice(512, len(again) - 512)
    np.testing.assert_allclose(again[inner], waveform[inner], atol=1e-5)


@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize(("frame", "num_bins"), [(512, 1), (512, 64), (512, 256), (512, 257), (508, 255), (513, 257)])
def test_the_inverse_is_that_of_each_channel_alone_for_any_spectrum(frame, num_bins, num_channels):
    rng, hop = np.random.default_rng(num_bins), frame // (4 - frame % 2)
    shape = (2, 70, num_bins, num_channels)  # more frames than are transformed at once
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    ours = inverse_stft(spectrum, frame_length=frame, hop_length=hop)
    expected = np.zeros((2, 69 * hop + frame, num_channels))
    window = synthesis_window("hann", frame, hop)[:, None]
    for number in range(70):
        alone = np.fft.irfft(spectrum[:, number].astype(complex), frame, axis=1)
        expected[:, number * hop : number * hop + frame] += alone * window
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_a_waveform_shorter_than_a_window_has_no_frames():
    assert stft(np.zeros((100, 2), np.float32), frame_length=512, hop_length=128).shape == (0, 257, 2)


@pytest.mark.parametrize("num_channels", [1, 2, 3])
@pytest.mark.parametrize("num_bins", [1, 64, 257])
def test_magnitudes_are_those_of_the_lowest_bins(num_channels, num_bins):
    waveform = np.random.default_rng(0).standard_normal((5000, num_channels)).astype(np.float32)
    magnitudes = magnitude_spectrogram(waveform, frame_length=512, hop_length=128, num_bins=num_bins)
    expected = np.abs(stft(waveform, frame_length=512, hop_length=128))
    np.testing.assert_allclose(magnitudes, expected[:, :num_bins], rtol=0, atol=1e-6 * expected.max())


def test_a_channel_much_quieter_than_the_other_keeps_its_own_magnitudes(waveform):
    quiet = waveform * np.array([1, 1e-3], np.float32)
    magnitudes = magnitude_spectrogram(quiet, frame_length=512, hop_length=128, num_bins=257)
    alone = magnitude_spectrogram(quiet[:, 1:], frame_length=512, hop_length=128, num_bins=257)
    np.testing.assert_allclose(magnitudes[..., 1:], alone, rtol=0, atol=1e-6 * magnitudes.max())


@pytest.mark.parametrize(("samples", "frames"), [(0, 4), (1, 5), (128, 5), (129, 6)])
def test_separation_counts_one_window_of_zeros_in_front_and_pads_the_end(samples, frames):
    assert num_frames(samples, 512, 128) == frames
