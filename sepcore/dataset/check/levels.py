"""Levels and faults of one signal, gathered block by block."""

import math

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.1
SILENCE_DB = -60.0
FLOOR_DB = -180.0
# Full scale of 16-bit audio, the coarsest in use, minus half a step.
FULL_SCALE = 1 - 1.5 / 2**15
_FLAT_SAMPLES = 3


def to_db(power: float) -> float:
    """A mean square, or a ratio of two, in dB; at least `FLOOR_DB`."""
    return max(10 * math.log10(power), FLOOR_DB) if power > 0 else FLOOR_DB


def energy(samples: NDArray[np.float32]) -> float:
    """Sum of the squares, in any shape."""
    flat = samples.ravel()
    return float(np.vecdot(flat, flat))


class LevelMeter:
    """Measures a signal that comes in blocks of any length."""

    def __init__(self, sample_rate: int, num_channels: int) -> None:
        self.num_samples = 0  # so far, per channel
        self.num_nan = 0  # NaN or infinite values, over all channels; they count as 0 in everything else
        # Values, over all channels, in runs of three or more that are equal and at full scale: the flat tops of a
        # clipped recording. Single peaks do not count, nor do the different values that a lossy codec decodes to.
        self.num_clipped = 0
        self.peak = 0.0  # largest absolute value
        self._num_channels = num_channels
        self._frame = max(round(FRAME_S * sample_rate), 1)
        self._silent_energy = 10 ** (SILENCE_DB / 10) * self._frame * num_channels
        self._num_silent = 0  # frames
        self._energy = 0.0  # of the whole frames
        self._open_samples, self._open_energy = 0, 0.0  # of the one that is not whole yet
        self._last = np.zeros((_FLAT_SAMPLES, num_channels), np.float32)

    def add(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add the next block, ``(samples, channels)``; returns it with NaN and infinity replaced by 0."""
        low, high = float(block.min()), float(block.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            finite = np.isfinite(block)
            self.num_nan += block.size - int(finite.sum())
            block = np.where(finite, block, np.float32(0))
            low, high = float(block.min()), float(block.max())
        peak = max(-low, high)
        self.peak = max(self.peak, peak)
        if peak >= FULL_SCALE:
            self._add_clipping(block)
        self._last = np.concatenate([self._last, block[-_FLAT_SAMPLES:]])[-_FLAT_SAMPLES:]
        self._add_energy(block)
        self.num_samples += len(block)
        return block

    def _add_clipping(self, block: NDArray[np.float32]) -> None:
        # A run may begin in the previous block. A run of n flat values has n - 2 triples, so the number of values is
        # that of the triples plus 2 for each first triple. Triple 0 was counted with the previous block.
        values = np.concatenate([self._last, block])
        full = np.abs(values) >= FULL_SCALE
        flat = full[1:] & (values[1:] == values[:-1])
        triples = flat[1:] & flat[:-1]
        first = triples[1:] & ~triples[:-1]
        self.num_clipped += int(np.count_nonzero(triples[1:])) + 2 * int(np.count_nonzero(first))

    def _add_energy(self, block: NDArray[np.float32]) -> None:
        # The last frame of a block may stay open, so that frames do not depend on the blocks.
        split = -self._open_samples % self._frame
        self._extend_frame(block[:split])
        rest = block[split:]
        whole = len(rest) // self._frame
        frames = rest[: whole * self._frame].reshape(whole, self._frame * self._num_channels)
        energies = np.vecdot(frames, frames)
        self._energy += float(energies.sum(dtype=np.float64))
        self._num_silent += int(np.count_nonzero(energies < self._silent_energy))
        self._extend_frame(rest[whole * self._frame :])

    def _extend_frame(self, samples: NDArray[np.float32]) -> None:
        self._open_samples += len(samples)
        self._open_energy += energy(samples)
        if self._open_samples == self._frame:
            self._energy += self._open_energy
            self._num_silent += self._open_energy < self._silent_energy
            self._open_samples, self._open_energy = 0, 0.0

    @property
    def rms_db(self) -> float:
        """Root mean square over all channels in dB relative to full scale."""
        values = self.num_samples * self._num_channels
        return to_db((self._energy + self._open_energy) / values) if values else FLOOR_DB

    @property
    def silence_share(self) -> float:
        """Share of the whole 0.1 s frames whose RMS is below -60 dBFS; of a shorter signal: 0 or 1."""
        whole = self.num_samples // self._frame
        return self._num_silent / whole if whole else float(self.rms_db < SILENCE_DB)
