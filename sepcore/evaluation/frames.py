"""What every metric agrees on: which samples are a window, what is silent, what lengths are compared."""

import logging

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.signals import ArraySignals, Signals, Stems, blocks

logger = logging.getLogger(__name__)


def aligned(references: Stems, estimates: Stems) -> tuple[Signals, Signals]:
    """References and estimates of one length: estimates are cut, or filled with zeros, to the references' (as museval).

    Args:
        references: True stems, ``(stems, samples, channels)``.
        estimates: Their estimates; only the number of samples may differ.

    Raises:
        ValueError: if a shape does not fit or there is no audio.
    """
    references, estimates = np.asarray(references), np.asarray(estimates)
    for name, stems in (("references", references), ("estimates", estimates)):
        if stems.ndim != 3 or not stems.size:
            raise ValueError(
                f"{name} has shape {stems.shape}; expected (stems, samples, channels), none of them 0. "
                "Stack the stems on axis 0; a mono stem is stem[:, None]."
            )
    if references.shape[::2] != estimates.shape[::2]:
        raise ValueError(
            f"references has shape {references.shape}, estimates {estimates.shape}; stems and channels must be equal "
            "in number. Leave out stems that have no estimate; bring both to the same channels."
        )
    num_samples = references.shape[1]
    missing = num_samples - estimates.shape[1]
    if missing > 0:
        logger.warning("estimates are %d samples shorter than the references; filled with zeros", missing)
    elif missing < 0:
        logger.warning("estimates are %d samples longer than the references; cut", -missing)
    return ArraySignals(references), ArraySignals(estimates, num_samples)


def window_slices(num_samples: int, window: int, hop: int) -> list[slice]:
    """The windows of a track in samples: whole ones, what remains is not scored; a shorter track is one window."""
    if window < 1 or hop < 1:
        raise ValueError(f"window is {window} and hop {hop}; expected samples, at least 1, such as the sample rate.")
    if window >= num_samples:
        return [slice(0, num_samples)]
    return [slice(start, start + window) for start in range(0, num_samples - window + 1, hop)]


def is_silent(stems: Stems) -> NDArray[np.bool_]:
    """Which stems ``(stems, samples, channels)`` museval takes for silent: all channels add up to 0 in every sample."""
    silent: NDArray[np.bool_] = ~stems.sum(axis=2, dtype=np.float64).any(axis=1)
    return silent


def silent_throughout(signals: Signals, name: str) -> NDArray[np.bool_]:
    """Which stems are silent from start to end.

    Args:
        signals: The stems.
        name: The name to call them by in messages.

    Raises:
        ValueError: if a sample is NaN or infinite.
    """
    silent = np.ones(signals.shape[0], bool)
    for block in blocks(signals):
        if not np.isfinite(block).all():
            raise ValueError(f"{name} holds NaN or infinite samples; separate or read the track again.")
        silent &= is_silent(block)
    return silent
