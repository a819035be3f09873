"""Seeded noise as stems. One channel and few stems: museval's time grows with the cube of their product."""

import numpy as np

RATE = 1000


def noise(stems=2, samples=3 * RATE, channels=1):
    """References and estimates at about 14 dB: (stems, samples, channels)."""
    rng = np.random.default_rng(0)
    references = 0.1 * rng.standard_normal((stems, samples, channels))
    return references, references + 0.02 * rng.standard_normal(references.shape)
