"""The song of the golden cases: integer arithmetic, so that every Python and numpy makes the very same samples."""

import numpy as np


def synthetic_input(seed: int, num_samples: int) -> np.ndarray:
    """Noise bursts, two gliding tones and a low pulse, spread differently over two channels.

    Returns:
        float32 ``(num_samples, 2)``, every sample a whole multiple of 2**-15, peaks below 0.9.
    """
    n = np.arange(num_samples, dtype=np.int64)
    hiss = _noise(seed, num_samples) * (n // 1500 % 3 == seed % 3)
    glide = _triangle(n * (900 + 37 * seed) + n * n // 16)
    chord = _triangle(n * (2300 - 41 * seed)) + _triangle(n * 3457)
    pulse = _triangle(n * 211) * (4000 - n % 4000) // 4000
    left = 5 * glide + 2 * chord + 3 * hiss + 6 * pulse
    right = 2 * glide + 3 * chord - 4 * hiss + 5 * pulse
    # At most 18/20 of full scale.
    return (np.stack([left, right], axis=1) // 20).astype(np.float32) / np.float32(32768)


def _triangle(phase: np.ndarray) -> np.ndarray:
    """A triangle wave between -32768 and 32767 that repeats every 65536 steps of ``phase``."""
    return np.abs(phase % 65536 - 32768) * 2 - 32768


def _noise(seed: int, num_samples: int) -> np.ndarray:
    """White noise between -32768 and 32767: the finalizer of MurmurHash3 over the sample's number."""
    bits = np.arange(num_samples, dtype=np.uint64) + np.uint64(seed << 32)
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        bits = (bits ^ (bits >> np.uint64(33))) * np.uint64(multiplier)
    return (bits >> np.uint64(48)).astype(np.int64) - 32768
