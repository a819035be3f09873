import numpy as np
import pytest

from sepcore.signal.spectrogram import magnitude_spectrogram
from sepcore.training.magnitudes import batch_magnitudes
from tests.models import small_config


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("num_bins", [64, 192])
def test_magnitudes_on_the_device_are_those_of_the_cache(num_channels, num_bins):
    config = small_config(cache_content="waveform", n_channels=num_channels, F=num_bins)
    stems = np.random.default_rng(0).uniform(-1, 1, (3, 2, config.segment_samples, num_channels)).astype(np.float32)
    mixture, targets = batch_magnitudes(config)((stems.sum(axis=1), stems))
    settings = {"frame_length": 512, "hop_length": 128, "num_bins": num_bins}
    expected = np.stack([[magnitude_spectrogram(stem, **settings) for stem in example] for example in stems])
    np.testing.assert_allclose(targets, expected, rtol=0, atol=1e-5 * expected.max())
    whole = np.stack([magnitude_spectrogram(example.sum(axis=0), **settings) for example in stems])
    np.testing.assert_allclose(mixture, whole, rtol=0, atol=1e-5 * whole.max())


def test_cached_magnitudes_stay_as_they_are():
    batch = (np.ones(1), np.zeros(1))
    assert batch_magnitudes(small_config())(batch) is batch
