"""A waveform at another sample rate, piece by piece."""

import numpy as np
import soxr
from numpy.typing import NDArray


class Resampler:
    """Brings a waveform to another rate piece by piece, in memory that does not depend on its length.

    In all, ``total`` samples come out, by default ``round(samples * wanted_hz / given_hz)``, in step with the input.
    With equal rates the pieces pass through unchanged. Rates need not be whole numbers.

    References:
        R. Sykes, the SoX resampler library (libsoxr), quality HQ.
    """

    def __init__(self, given_hz: float, wanted_hz: float, num_channels: int, *, total: int | None = None) -> None:
        self._ratio = wanted_hz / given_hz
        self._num_channels, self._total = num_channels, total
        self._stream = None
        if given_hz != wanted_hz:
            self._stream = soxr.ResampleStream(given_hz, wanted_hz, num_channels, dtype="float32", quality="HQ")
        self._received = self._sent = 0

    def push(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take a piece, float32 ``(samples, num_channels)``; return what is certain so far, maybe nothing."""
        if self._stream is None:
            return block
        self._received += len(block)
        resampled: NDArray[np.float32] = self._stream.resample_chunk(np.ascontiguousarray(block))
        self._sent += len(resampled)
        return resampled

    def finish(self) -> NDArray[np.float32]:
        """The rest, after the last piece."""
        nothing = np.zeros((0, self._num_channels), np.float32)
        if self._stream is None:
            return nothing
        total = round(self._received * self._ratio) if self._total is None else self._total
        rest = self._stream.resample_chunk(nothing, last=True)
        missing = max(total - self._sent, 0)
        return np.pad(rest[:missing], [(0, max(missing - len(rest), 0)), (0, 0)]).astype(np.float32, copy=False)
