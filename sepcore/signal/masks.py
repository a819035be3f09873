"""Ratio masks; written once for numpy and for `keras.ops`, which share the functions used here."""

from types import ModuleType
from typing import Any

import numpy as np

# Spleeter's; its checkpoints give its stems only with the same one. Shared among the stems to divide silence equally.
EPSILON = 1e-10


def ratio_masks(estimates: Any, *, exponent: float, xp: ModuleType = np) -> Any:
    """Share every bin of the mixture among the stems in proportion to ``estimate ** exponent``.

    Args:
        estimates: Estimated magnitudes, linear amplitude, >= 0; float32 ``(..., stems, frames, bins, channels)``.
        exponent: ``separation_exponent``, > 0: 1 gives amplitude masks, 2 Wiener-like ones.
        xp: `numpy` or `keras.ops`, whichever the arrays belong to.

    Returns:
        Masks in [0, 1], same shape and type, that add up to 1 over the stems in every bin, equal where all are silent.

    References:
        R. Hennequin et al., "Spleeter: a fast and efficient music source separation tool", JOSS 2020;
        A. Liutkus and R. Badeau, "Generalized Wiener filtering with fractional power spectrograms", ICASSP 2015.
    """
    stems = estimates.shape[-4]
    powers = xp.square(estimates) if exponent == 2 else xp.power(estimates, exponent)
    return (powers + EPSILON / stems) / (xp.sum(powers, axis=-4, keepdims=True) + EPSILON)


def extend_masks(masks: Any, *, num_bins: int, extension: str, xp: ModuleType = np) -> Any:
    """Extend masks, ``(..., bins, channels)``, to ``num_bins``, the bins of the STFT.

    The ``extension`` ``"zeros"`` makes the bins above silent; ``"average"`` gives them the frame's mean mask.
    """
    missing = num_bins - masks.shape[-2]
    if not missing:
        return masks
    if extension == "zeros":
        return xp.pad(masks, [(0, 0)] * (len(masks.shape) - 2) + [(0, missing), (0, 0)])
    average = xp.mean(masks, axis=-2, keepdims=True)
    return xp.concatenate([masks, xp.repeat(average, missing, axis=-2)], axis=-2)
