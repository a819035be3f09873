"""Stems and their exact sum as 24-bit FLAC files."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Bits
from sepcore.dataset.augment.stretch import StretchedStems
from sepcore.signal.audio_writer import AudioWriter

SUFFIX = ".flac"
_BITS: Bits = 24
SAMPLE_BYTES = _BITS // 8
_FULL_SCALE = 2.0 ** (_BITS - 1)


def full_scale_gain(stems: StretchedStems, *, num_stems: int, num_channels: int) -> float:
    """The factor, at most 1, with which neither a stem nor the sum of all exceeds full scale in 24 bits."""
    peak = 0.0
    for block in stems.blocks():
        mixture = block.reshape(len(block), num_stems, num_channels).sum(axis=1, dtype=np.float64)
        peak = max(peak, float(np.abs(block).max()), float(np.abs(mixture).max()))
    # Each stem is rounded by up to half a step.
    highest = 1 - num_stems / _FULL_SCALE
    return min(1.0, highest / peak) if peak else 1.0


def write_stems(
    stems: StretchedStems, mixture: Path, files: Sequence[Path], gain: float, *, sample_rate: int, num_channels: int
) -> None:
    """Write each stem times ``gain`` to one of the files, and their sum to ``mixture``.

    The stems are rounded to 24 bits and then added up: what the mixture's file holds is the sum of what the others
    hold, to the bit.

    Raises:
        AudioEncodeError: a file cannot be written.
    """
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                AudioWriter(path, sample_rate=sample_rate, num_channels=num_channels, codec="flac", bits=_BITS)
            )
            for path in (mixture, *files)
        ]
        for block in stems.blocks():
            codes = np.rint(block.astype(np.float64) * (gain * _FULL_SCALE))
            codes = codes.reshape(len(block), len(files), num_channels)
            for writer, signal in zip(writers, (codes.sum(axis=1), *codes.swapaxes(0, 1)), strict=True):
                writer.write(_samples(signal))


def _samples(codes: NDArray[np.float64]) -> NDArray[np.float32]:
    # Exact: a float32 holds 24 bits.
    return (codes / _FULL_SCALE).astype(np.float32)
