import numpy as np

from sepcore.evaluation.bsseval.sdr import sdr_frames
from sepcore.evaluation.bsseval.signals import ArraySignals
from sepcore.evaluation.estimates import IdealRatioMask, UntouchedMixture
from sepcore.signal.masks import ratio_masks
from sepcore.signal.spectrogram import inverse_stft, stft
from tests.models import small_config

CONFIG = small_config()


def streamed(baseline, references, mixture):
    signals = ArraySignals(mixture[None]), ArraySignals(references)
    return np.concatenate(list(baseline(CONFIG).stream(None, *signals)), axis=1)


def tones(length):
    """Two stems of tones that share few bins, and their sum."""
    time = np.arange(length) / CONFIG.sample_rate
    references = np.stack([np.stack([np.sin(2 * np.pi * hz * time)] * 2, axis=1) for hz in (300, 900)]) / 4
    return references.astype(np.float32), references.sum(axis=0).astype(np.float32)


def test_the_untouched_mixture_is_every_stem():
    references, mixture = tones(1000)
    np.testing.assert_array_equal(streamed(UntouchedMixture, references, mixture), np.stack([mixture] * 2))


def test_the_ideal_ratio_mask_shares_every_bin_as_the_stems_do():
    references, mixture = tones(400_000)  # several blocks
    estimates = streamed(IdealRatioMask, references, mixture)
    assert estimates.shape == references.shape
    framing = {"frame_length": CONFIG.frame_length, "hop_length": CONFIG.hop_length}
    magnitudes = np.abs(np.stack([stft(stem, **framing) for stem in references]))
    whole = inverse_stft(ratio_masks(magnitudes, exponent=2) * stft(mixture, **framing), **framing)
    inner = slice(CONFIG.frame_length, 390_000)
    np.testing.assert_allclose(estimates[:, inner], whole[:, inner], atol=1e-5)


def test_of_stems_that_share_no_bin_the_ideal_ratio_mask_makes_nearly_all():
    references, mixture = tones(20_000)
    sdr = sdr_frames(references, streamed(IdealRatioMask, references, mixture), 8000, 8000)
    assert (sdr > 20).all()
