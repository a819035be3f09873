"""What every metric agrees on: which samples are a window, what is silent, what lengths are compared."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.evaluation.bsseval.signals import ArraySignals, Signals, Stems, block_slices
from sepcore.system.cores import num_cores

_GLANCE = 64
_MOST_CHANNELS = 64

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
        if stems.shape[2] > max(stems.shape[1], _MOST_CHANNELS):
            raise ValueError(
                f"{name} has shape {stems.shape}, more channels than samples; expected (stems, samples, channels). "
                "Move the channels to the end: numpy.moveaxis(stems, 1, 2)."
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
    silent = np.ones(len(stems), bool)
    for stem, samples in enumerate(stems):
        # Nearly always a few samples answer it.
        first = samples[:_GLANCE]
        silent[stem] = not _sums(first).any() and not _sums(samples[_GLANCE:]).any()
    return silent


def _sums(samples: NDArray[Any]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = samples.sum(axis=1, dtype=np.float64)
    return sums


def silent_throughout(signals: Signals, name: str) -> NDArray[np.bool_]:
    """Which stems are silent from start to end.

    Args:
        signals: The stems.
        name: The name to call them by in messages.

    Raises:
        ValueError: if a sample is NaN or infinite.
    """

    def look(part: slice) -> NDArray[np.bool_]:
        block = signals.read(part.start, part.stop)
        # A sum of what is not finite is not finite; of what is, only where it overflows.
        if not np.isfinite(block.sum()) and not np.isfinite(block).all():
            raise ValueError(f"{name} holds NaN or infinite samples. Separate or read the track again.")
        return is_silent(block)

    with ThreadPoolExecutor(num_cores()) as pool:
        silent = np.stack(list(pool.map(look, block_slices(0, signals.shape[1]))))
    everywhere: NDArray[np.bool_] = np.logical_and.reduce(silent)
    return everywhere
