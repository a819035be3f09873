import tracemalloc
from itertools import pairwise, product

import numpy as np
import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.engines.base import Engine
from sepcore.engines.complex_frames import segmentation, stem_frames
from sepcore.separation.wiener_stream import wiener_stream
from sepcore.signal.blocks import Waveform, cross_fade

FRAME, HOP, T = 64, 16, 12
SHARES = (0.25, -0.5, 1.0)
PADDINGS = ("spleeter", "centered")
WINDOWS = ("hann", "rectangular")


def config_of(**keys) -> ModelConfig:
    """A complex network of three stems on frames of 64 samples."""
    from sepcore.config.network import NetworkConfig

    channels = keys.get("num_channels", 2)
    network = NetworkConfig.model_validate_json(f'{{"type": "scnet.scnet", "params": {{"dims": [{2 * channels}, 8]}}}}')
    usual = {"frame_length": FRAME, "hop_length": HOP, "segment_frames": T, "num_bins": FRAME // 2 + 1}
    return ModelConfig(instruments=("a", "b", "c"), model=network, **(usual | keys))


class Shares(Engine):
    """Gives each stem a fixed share of the mixture, and remembers what it was given."""

    def __init__(self, config, weights=None):
        super().__init__(config)
        self.given = []
        self._weights = np.ones(config.segment_frames) if weights is None else weights

    def estimate(self, spectra):
        self.given.append(spectra[0])
        shares = np.array(SHARES, np.float32)[:, None, None, None]
        return (shares * spectra[:, None] * self._weights.astype(np.float32)[:, None, None]).astype(np.float32)


def noise(samples, channels=2, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (samples, channels)).astype(np.float32)


def separated(engine, pieces, overlap=None):
    parts = list(engine.separate(pieces, overlap=overlap))
    return np.concatenate(parts, axis=1) if parts else np.zeros((3, 0, pieces[0].shape[1]), np.float32)


def spectra(waveform, config, num_frames):
    """The STFT as the design says it, with NumPy's padding: complex128 ``(frames, bins, channels)``."""
    samples = (num_frames - 1) * HOP + FRAME
    if config.stft_padding == "centered":
        padded = np.zeros((samples - FRAME, waveform.shape[1]))
        padded[: len(waveform)] = waveform
        padded = np.pad(padded, [(FRAME // 2, FRAME // 2), (0, 0)], mode="reflect")
    else:
        padded = np.zeros((samples, waveform.shape[1]))
        padded[FRAME : FRAME + len(waveform)] = waveform
    frames = np.stack([padded[k * HOP : k * HOP + FRAME] for k in range(num_frames)])
    return np.fft.rfft(frames * window_of(config)[:, None], axis=1)


def window_of(config):
    n = np.arange(FRAME)
    return np.ones(FRAME) if config.stft_window == "rectangular" else 0.5 - 0.5 * np.cos(2 * np.pi * n / FRAME)


def waveform_of(stem, config, length):
    """Overlap-add of one stem's frames, divided by the sum of the squared windows where there are frames."""
    window = window_of(config)[:, None]
    added = np.zeros(((len(stem) - 1) * HOP + FRAME, stem.shape[2]))
    total = np.zeros((len(added), 1))
    for number, frame in enumerate(np.fft.irfft(stem, FRAME, axis=1)):
        added[number * HOP :][:FRAME] += frame * window
        total[number * HOP :][:FRAME] += window**2
    front = FRAME // 2 if config.stft_padding == "centered" else FRAME
    return (added / np.maximum(total, 1e-12))[front : front + length]


# Hop, frame and segment edges, and their neighbors.
EDGES = sorted({
    max(base + step, 1)
    for base in (1, HOP, FRAME // 2, FRAME, (T - 4) * HOP, (T - 1) * HOP, T * HOP, (2 * T - 3) * HOP, 5 * T * HOP)
    for step in (-1, 0, 1)
})  # fmt: skip


@pytest.mark.parametrize(("padding", "window"), list(product(PADDINGS, WINDOWS)))
@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_of_fixed_shares_gives_these_shares_at_every_length(padding, window, channels):
    config = config_of(stft_padding=padding, stft_window=window, num_channels=channels, stft_normalized=True)
    for length in (*EDGES, 777, 1234):
        mixture = noise(length, channels, seed=length)
        stems = separated(Shares(config), [mixture])
        assert stems.shape == (3, length, channels)
        np.testing.assert_allclose(stems, np.multiply.outer(SHARES, mixture), atol=1e-5)


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("padding", PADDINGS)
def test_it_does_so_at_every_overlap(padding, overlap):
    config = config_of(stft_padding=padding, stft_window="rectangular")
    for length in (5, 100, 1000, 1001):
        stems = separated(Shares(config), [noise(length)], overlap)
        np.testing.assert_allclose(stems, np.multiply.outer(SHARES, noise(length)), atol=1e-5)


@pytest.mark.parametrize(("padding", "overlap"), list(product(PADDINGS, [0.0, 0.25, 0.6])))
def test_a_stream_is_the_whole_however_it_is_cut(padding, overlap):
    config, rng = config_of(stft_padding=padding), np.random.default_rng(3)
    engine = Shares(config, weights=rng.uniform(0.5, 2, T))
    for length in (1, 31, 33, 400, 1500):
        mixture = noise(length)
        whole = separated(engine, [mixture], overlap)
        cuts = [0, *sorted(rng.integers(0, length + 1, 12).tolist()), length]
        pieces = [mixture[first:last] for first, last in pairwise(cuts)]
        assert np.array_equal(separated(engine, pieces, overlap), whole)
        single = [mixture[n : n + 1] for n in range(length)]
        assert np.array_equal(separated(engine, single, overlap), whole)


def test_nothing_comes_of_nothing():
    assert separated(Shares(config_of()), [noise(0), noise(0)]).shape == (3, 0, 2)


@pytest.mark.parametrize(("padding", "window", "normalized"), list(product(PADDINGS, WINDOWS, [False, True])))
def test_the_network_sees_one_stft_of_the_whole_song_in_overlapping_segments(padding, window, normalized):
    config = config_of(stft_padding=padding, stft_window=window, stft_normalized=normalized)
    for length, overlap in product((20, 33, 300, 901), (0.0, 0.25, 0.5)):
        engine, mixture = Shares(config), noise(length)
        separated(engine, [mixture], overlap)
        cut = segmentation(config, overlap)
        expected = spectra(mixture, config, cut.num_frames(length)) / (FRAME**0.5 if normalized else 1)
        parts = np.stack([expected.real, expected.imag], axis=-1).reshape(*expected.shape[:2], 4)
        assert len(engine.given) == 1 + (len(parts) - T) // cut.advance
        for number, segment in enumerate(sorted(engine.given, key=lambda given: self_place(given, parts, cut))):
            np.testing.assert_allclose(segment, parts[number * cut.advance :][:T], atol=2e-5)


def self_place(segment, parts, cut):
    """The number of the segment: several threads may ask at once."""
    numbers = range(1 + (len(parts) - T) // cut.advance)
    return min(numbers, key=lambda number: np.abs(parts[number * cut.advance :][:T] - segment).max())


@pytest.mark.parametrize(("padding", "window", "overlap"), list(product(PADDINGS, WINDOWS, [0.25, 0.5, 0.8])))
def test_segments_are_cross_faded_by_frames(padding, window, overlap):
    """Where neighbors disagree, each frame is their weighted mean."""
    config, rng = config_of(stft_padding=padding, stft_window=window), np.random.default_rng(1)
    of_segment = rng.uniform(0.5, 2, T)
    for length in (40, 333, 1000):
        mixture, cut = noise(length), segmentation(config, overlap)
        frames = spectra(mixture, config, cut.num_frames(length))
        weights = cross_fade(T, cut.advance)
        total, weighted = np.zeros(len(frames)), np.zeros(len(frames))
        for first in range(0, len(frames) - T + 1, cut.advance):
            total[first : first + T] += weights
            weighted[first : first + T] += weights * of_segment
        expected = waveform_of(frames * (weighted / total)[:, None, None], config, length)
        stems = separated(Shares(config, of_segment), [mixture], overlap)
        np.testing.assert_allclose(stems, np.multiply.outer(SHARES, expected), atol=1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
def test_bins_above_f_are_zero_and_with_consistency_stems_add_up_to_the_mixture(padding):
    config = config_of(stft_padding=padding, num_bins=10)
    mixture = noise(1000)
    low = separated(Shares(config), [mixture])
    assert not np.allclose(low.sum(axis=0), 0.75 * mixture, atol=1e-2)
    for frames in stem_frames(Shares(config), Waveform([mixture]), overlap=0.25):
        assert frames.stems.shape[2] == 10
    consistent = separated(Shares(config.model_copy(update={"mixture_consistency": True})), [mixture])
    np.testing.assert_allclose(consistent.sum(axis=0), mixture, atol=1e-5)
    # What was missing is shared equally.
    rest = (mixture - low.sum(axis=0)) / 3
    np.testing.assert_allclose(consistent, low + rest, atol=1e-5)


def test_memory_is_flat():
    config, block, counts = config_of(), 997, (60, 600)
    peaks = []
    for count in counts:
        tracemalloc.start()
        engine = Shares(config)
        engine.given = type("Nowhere", (), {"append": lambda self, given: None})()
        for _ in engine.separate(noise(block, seed=n) for n in range(count)):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # How many segments are under way at once depends on the machine's load, but not on the song's length.
    longer = (counts[1] - counts[0]) * block * 2 * 4 * (1 + len(SHARES))
    assert peaks[1] - peaks[0] < longer / 20


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("keys", [{}, {"stft_normalized": True}, {"stft_normalized": True, "num_bins": 10}])
def test_the_mixtures_own_frames_are_its_stft_whatever_the_network_is_given(channels, keys):
    config = config_of(num_channels=channels, mixture_consistency=True, **keys)
    mixture = noise(1000, channels)
    parts = list(stem_frames(Shares(config), Waveform([mixture]), overlap=0.25))
    expected = spectra(mixture, config, sum(len(part.mixture) for part in parts))
    np.testing.assert_allclose(np.concatenate([part.mixture for part in parts]), expected, atol=1e-4)
    stems = separated(Shares(config), [mixture])
    np.testing.assert_allclose(stems.sum(axis=0), mixture, atol=1e-5)
    by_wiener = np.concatenate(list(wiener_stream(Shares(config), [mixture])), axis=1)
    np.testing.assert_allclose(by_wiener.sum(axis=0), mixture, atol=5e-3)


@pytest.mark.parametrize("padding", PADDINGS)
def test_wiener_filtering_takes_the_estimates_magnitudes(padding):
    config = config_of(stft_padding=padding)
    mixture = noise(1500)
    stems = np.concatenate(list(wiener_stream(Shares(config), [mixture])), axis=1)
    # Magnitudes in the ratio 1 : 2 : 4 everywhere: the gains are those of the powers.
    np.testing.assert_allclose(stems, np.multiply.outer(np.array([1, 4, 16]) / 21, mixture), atol=2e-3)
