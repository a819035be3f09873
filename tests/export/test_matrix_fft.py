import numpy as np
import pytest

from sepcore.export.matrix_fft import MatrixFFT

# Powers of two, Spleeter's and another; 32 * 48; 14 * 73; 2 * a prime.
FRAME_LENGTHS = [512, 4096, 1536, 1022, 254]


def frames(frame_length):
    return np.random.default_rng(0).uniform(-1, 1, (2, 3, frame_length)).astype(np.float32)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("frame_length", FRAME_LENGTHS)
def test_the_lowest_bins_are_numpys(frame_length, share):
    num_bins = max(int(share * (frame_length // 2 + 1)), 1)
    signal = frames(frame_length)
    real, imaginary = MatrixFFT(frame_length, num_bins).rfft(signal)
    expected = np.fft.rfft(signal)[..., :num_bins]
    spectrum = np.asarray(real) + 1j * np.asarray(imaginary)
    np.testing.assert_allclose(spectrum, expected, rtol=0, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("share", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("frame_length", FRAME_LENGTHS)
def test_the_inverse_of_the_lowest_bins_is_numpys_with_zeros_above(frame_length, share):
    num_bins = max(int(share * (frame_length // 2 + 1)), 1)
    spectrum = np.fft.rfft(frames(frame_length))[None, ..., :num_bins]
    parts = spectrum.real.astype(np.float32), spectrum.imag.astype(np.float32)
    expected = np.fft.irfft(spectrum, frame_length)
    signal = np.asarray(MatrixFFT(frame_length, num_bins).irfft(parts, frame_length))
    np.testing.assert_allclose(signal, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def test_frames_of_another_length_are_refused():
    part = np.zeros((1, 1, 1, 257), np.float32)
    with pytest.raises(ValueError, match="frame_length is 1024; these matrices are of 512"):
        MatrixFFT(512, 257).irfft((part, part), 1024)
