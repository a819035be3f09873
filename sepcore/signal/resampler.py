"""A stream of samples at another rate."""

import numpy as np
import soxr
from numpy.typing import NDArray


class Resampler:
    """Brings a waveform to another rate piece by piece, in memory that does not depend on its length.

    Args:
        given_hz: Rate of what comes in.
        wanted_hz: Rate of what goes out.
        num_channels: Of both.
        total: Samples to hand out in all, where that is known better than by the ratio of the rates.

    In all ``round(samples * wanted_hz / given_hz)`` samples come out, in step with those that went in. Rates that are
    equal hand the pieces through.

    References:
        R. Sykes, the SoX resampler library (libsoxr), quality HQ.
    """

    def __init__(self, given_hz: int, wanted_hz: int, num_channels: int, *, total: int | None = None) -> None:
        self._ratio = wanted_hz / given_hz
        self._num_channels, self._total = num_channels, total
        self._stream = None
        if given_hz != wanted_hz:
            self._stream = soxr.ResampleStream(given_hz, wanted_hz, num_channels, dtype="float32", quality="HQ")
        self._received = self._sent = 0

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a piece, float32 ``(samples, num_channels)``; hand out what can be said so far, maybe nothing."""
        self._received += len(block)
        if self._stream is None:
            return block
        return self._handed_out(self._stream.resample_chunk(np.ascontiguousarray(block)))

    def finish(self) -> NDArray[np.float32]:
        """The rest, after the last piece."""
        nothing = np.zeros((0, self._num_channels), np.float32)
        if self._stream is None:
            return nothing
        total = round(self._received * self._ratio) if self._total is None else self._total
        rest = self._stream.resample_chunk(nothing, last=True)
        missing = max(total - self._sent, 0)
        padded = np.pad(rest[:missing], [(0, max(missing - len(rest), 0)), (0, 0)])
        return self._handed_out(padded.astype(np.float32, copy=False))

    def _handed_out(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        self._sent += len(block)
        return block
