import numpy as np
import pytest
import scipy.signal

from sepcore.signal.spectrogram import magnitude_spectrogram
from sepcore.training.spectra import batch_spectra
from tests.models import TINY_COMPLEX, small_config

SIZES = pytest.mark.parametrize(("num_channels", "num_bins"), [(1, 64), (2, 64), (2, 192)])


def waveforms(config):
    """Stems of three examples by chance, ``(batch, stems, samples, channels)``."""
    shape = (3, 2, config.segment_samples, config.num_channels)
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


@SIZES
def test_magnitudes_on_the_device_are_those_of_the_cache(num_channels, num_bins):
    config = small_config(cache_content="waveform", n_channels=num_channels, F=num_bins)
    stems = waveforms(config)
    mixture, targets = batch_spectra(config)((stems.sum(axis=1), stems))
    settings = {"frame_length": 512, "hop_length": 128, "num_bins": num_bins}
    expected = np.stack([[magnitude_spectrogram(stem, **settings) for stem in example] for example in stems])
    np.testing.assert_allclose(targets, expected, rtol=0, atol=1e-5 * expected.max())
    whole = np.stack([magnitude_spectrogram(example.sum(axis=0), **settings) for example in stems])
    np.testing.assert_allclose(mixture, whole, rtol=0, atol=1e-5 * whole.max())


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("window", ["hann", "rectangular"])
@pytest.mark.parametrize(("num_channels", "num_bins"), [(1, 64), (2, 257)])
def test_complex_spectra_are_scipys_real_and_imaginary_parts_channel_by_channel(
    num_channels, num_bins, window, normalized
):
    keys = {"n_channels": num_channels, "F": num_bins, "stft_window": window, "stft_normalized": normalized}
    config = small_config(model=TINY_COMPLEX, **keys)
    stems = waveforms(config)
    mixture, targets = batch_spectra(config)((stems.sum(axis=1), stems))
    form = scipy.signal.get_window("hann" if window == "hann" else "boxcar", 512)
    frames = np.lib.stride_tricks.sliding_window_view(stems.astype(float), 512, axis=2)[:, :, ::128]
    expected = scipy.fft.rfft(frames * form)[..., :num_bins] / (512**0.5 if normalized else 1)
    expected = np.moveaxis(expected, -2, -1)  # (batch, stems, frames, bins, channels)
    bound = 1e-5 * np.abs(expected).max()
    assert tuple(targets.shape) == (3, 2, 64, num_bins, 2 * num_channels)
    np.testing.assert_allclose(np.asarray(targets)[..., 0::2], expected.real, rtol=0, atol=bound)
    np.testing.assert_allclose(np.asarray(targets)[..., 1::2], expected.imag, rtol=0, atol=bound)
    np.testing.assert_allclose(mixture, np.sum(targets, axis=1), rtol=0, atol=2 * bound)


def test_cached_magnitudes_stay_as_they_are():
    batch = (np.ones(1), np.zeros(1))
    assert batch_spectra(small_config())(batch) is batch
