"""PCM of waveforms: what chunks of ``cache_content: "waveform"`` hold, in 16 or 24 bits a sample.

Samples are rounded to the nearest code, without dither: the same song gives the same bytes, and each signal is within
half a step of its recording, so that the mixture stays the sum of its stems to the step.

A signal that is beyond full scale is never clipped. It is stored in 24 bits, in an ``int16`` cache too, and scaled by
a power of two, so that its steps are no larger than those of 16 bits; samples of a 16-bit recording, and sums of them,
stay exact. Beyond `LARGEST_SCALE` the steps would be larger: such a signal, which looks like integers in a file of
floats, is refused.
"""

from dataclasses import dataclass
from typing import Literal

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from sepcore.dataset.check.levels import energy, to_db

BLOCK_SAMPLES = 2**14
"""Samples of a signal, per channel, that share a checksum."""
LARGEST_SCALE = 2.0**8
"""Largest absolute value, 1 being full scale, that 24 bits store as finely as 16 bits store a signal within it."""
PcmType = Literal["int16", "int24"]
SAMPLE_BYTES: dict[PcmType, int] = {"int16": 2, "int24": 3}


class BeyondScale(ValueError):
    """A signal is too loud to be stored, or not finite."""


@dataclass(frozen=True)
class PcmSignal:
    """One signal of a chunk as PCM."""

    codes: bytes  # little-endian, of ``(samples, channels)``; int24 in three bytes
    shape: tuple[int, int]  # samples and channels
    dtype: PcmType
    scale: float  # value of a code at full scale: 1, or a power of two above it
    levels_db: tuple[float, ...] = ()  # see `second_levels`; only of a signal that is about to be stored

    def __len__(self) -> int:
        """Samples per channel."""
        return self.shape[0]

    def waveform(self) -> NDArray[np.float32]:
        """The samples in [-scale, scale]: float32 ``(samples, channels)``."""
        samples = np.empty(self.shape, np.float32)
        decode_pcm(self.codes, self.scale, samples)
        return samples


def encode_pcm(waveform: NDArray[np.float32], dtype: PcmType, *, sample_rate: int) -> PcmSignal:
    """Round a waveform to PCM; see the module.

    Args:
        waveform: float32 ``(samples, channels)``, not empty.
        dtype: How it is stored if it is within full scale.
        sample_rate: In Hz, for its levels.

    Raises:
        BeyondScale: it is beyond `LARGEST_SCALE` or not finite.
    """
    low, high = float(waveform.min()), float(waveform.max())
    scale = 1.0
    if not _fits(low, high, dtype, scale):
        dtype = "int24"
    while not _fits(low, high, dtype, scale):
        scale *= 2
        if scale > LARGEST_SCALE:
            peak = f"a peak of {max(-low, high):.4g}, full scale is 1 and the largest that can be stored"
            raise BeyondScale(f"has {peak} {LARGEST_SCALE:.0f}")
    shape = waveform.shape[0], waveform.shape[1]
    step = np.float32(scale / full_scale(dtype))
    codes = np.rint(waveform / step)
    levels_db = second_levels(codes * step, sample_rate)  # of what is stored: what lies below the steps is silent
    return PcmSignal(_to_bytes(codes, dtype), shape, dtype, scale, levels_db)


def _fits(low: float, high: float, dtype: PcmType, scale: float) -> bool:
    full = full_scale(dtype)
    # Python rounds as NumPy does, halves to even. NaN fits into no scale.
    return -full - 0.5 <= low * full / scale and high * full / scale < full - 0.5


def full_scale(dtype: PcmType) -> int:
    """The first code that is too large."""
    return 1 << (8 * SAMPLE_BYTES[dtype] - 1)


def _to_bytes(codes: NDArray[np.float32], dtype: PcmType) -> bytes:
    if dtype == "int16":
        return codes.astype("<i2").tobytes()
    return codes.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def decode_pcm(codes: bytes, scale: float, out: NDArray[np.float32]) -> None:
    """Write the samples of PCM into an array; its size and that of the codes say whether they have 16 or 24 bits.

    Args:
        codes: Of whole samples, see `PcmSignal`.
        scale: The signal's.
        out: float32 ``(samples, channels)``, contiguous.
    """
    flat = out.reshape(-1)
    if len(codes) == SAMPLE_BYTES["int16"] * flat.size:
        np.multiply(np.frombuffer(codes, "<i2"), np.float32(scale / 2**15), out=flat)
        return
    # As the upper three bytes of 32 bits, so that the sign is in its place; the lowest one is of the sample before.
    overlapping: NDArray[np.int32] = np.ndarray((flat.size,), "<i4", b"\0" + codes, strides=(3,))
    flat[:] = overlapping & np.int32(-256)
    flat *= np.float32(scale / 2**31)


def second_levels(waveform: NDArray[np.float32], sample_rate: int) -> tuple[float, ...]:
    """RMS over all channels of each second, the last one shorter, in dB relative to full scale, at least -180."""
    seconds = (waveform[first : first + sample_rate] for first in range(0, len(waveform), sample_rate))
    return tuple(to_db(energy(second) / second.size) for second in seconds)


def residual_db(waveforms: list[NDArray[np.float32]]) -> float:
    """RMS of a mixture minus the sum of its stems (float32 ``(samples, channels)``), in dB relative to full scale."""
    mixture, *stems = waveforms
    rest = mixture.copy()
    for stem in stems:
        rest -= stem
    return to_db(energy(rest) / rest.size)


def block_checksums(signal: PcmSignal) -> list[int]:
    """CRC-32C of each `BLOCK_SAMPLES` samples, the last block shorter."""
    size = BLOCK_SAMPLES * signal.shape[1] * SAMPLE_BYTES[signal.dtype]
    return [google_crc32c.value(signal.codes[first : first + size]) for first in range(0, len(signal.codes), size)]
