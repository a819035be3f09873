"""Compare a cached chunk with what its recordings give now."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import DB_RANGE, FLOOR, Chunk, SampleWindow, Signal, chunk_magnitude
from sepcore.dataset.cache.pcm import PcmSignal, full_scale
from sepcore.dataset.check.levels import to_db
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import read_blocks

Decibels = NDArray[np.float32]
_BYTE_STEPS = 255
_FLOAT16_ERROR_DB = 20 * np.log10(1 + 2**-11)  # the relative error of a float16 is at most 2^-11
_ARITHMETIC_DB = 1e-3
# How far above the noise of rounding PCM a bin must be for its difference to be shown; the noise then makes about 1 dB.
_ABOVE_NOISE_DB = 20.0


@dataclass(frozen=True, eq=False)
class SignalComparison:
    """One signal of a chunk, cached and recomputed."""

    name: str  # ``mixture`` or the instrument
    cached_db: Decibels  # magnitudes from the cache, float32 ``(frames, bins, channels)``
    recomputed_db: Decibels  # magnitudes of the recording, not rounded, of the same shape
    rounding_db: float  # the largest difference that rounding can cause

    @property
    def loudest_db(self) -> float:
        """The loudest bin of the two."""
        return float(max(self.cached_db.max(), self.recomputed_db.max()))

    @property
    def floor_db(self) -> float:
        """Below this, differences are not counted."""
        return float(self.recomputed_db.max() - DB_RANGE)

    @property
    def below(self) -> str:
        """What lies below the floor, in words."""
        return f"both more than {DB_RANGE:.0f} dB below the signal's loudest bin"

    @property
    def difference_db(self) -> Decibels:
        """Cached minus recomputed; NaN where both lie below the floor: the 100 dB range that bytes can represent."""
        difference = self.cached_db - self.recomputed_db
        below = (self.recomputed_db < self.floor_db) & (self.cached_db < self.floor_db + self.rounding_db)
        return np.where(below, np.float32(np.nan), difference)

    @property
    def largest_db(self) -> float:
        """The largest absolute difference."""
        return float(np.fmax.reduce(np.abs(self.difference_db), axis=None, initial=0))

    @property
    def rms_db(self) -> float:
        """The root of the mean square of the differences."""
        counted = self.difference_db[~np.isnan(self.difference_db)]
        return float(np.sqrt(np.mean(np.square(counted, dtype=np.float64)))) if counted.size else 0.0

    @property
    def summary(self) -> str:
        """One line: the differences, and whether rounding explains them."""
        largest_db = self.largest_db
        explained = (
            f"all of it rounding, up to {self.rounding_db:.3f} dB"
            if largest_db <= self.rounding_db
            else f"rounding explains only {self.rounding_db:.3f} dB: it was cached from other audio"
        )
        return f"{self.name}: differs by at most {largest_db:.3f} dB, RMS {self.rms_db:.3f} dB ({explained})"


@dataclass(frozen=True, eq=False)
class WaveformComparison(SignalComparison):
    """One signal of a chunk as PCM: the samples are compared, the spectrograms are for the picture."""

    noise_db: float  # RMS of the rounding's noise in a bin
    half_step: float  # the largest difference of samples that rounding can cause, 1 being full scale
    largest_error: float  # the largest difference of samples
    rms_error: float  # the root of the mean square of these differences

    @property
    def floor_db(self) -> float:
        """Below this, rounding may be most of a bin."""
        return max(super().floor_db, self.noise_db + _ABOVE_NOISE_DB)

    @property
    def below(self) -> str:
        """What lies below the floor, in words."""
        return f"{super().below} or less than {_ABOVE_NOISE_DB:.0f} dB above the noise of rounding"

    @property
    def summary(self) -> str:
        """One line: the differences of the samples, and whether rounding explains them."""
        steps, rms_steps = (error / self.half_step / 2 for error in (self.largest_error, self.rms_error))
        explained = (
            "all of it rounding, up to half a step"
            if self.largest_error <= self.half_step
            else "rounding explains only half a step: it was cached from other audio"
        )
        return (
            f"{self.name}: samples differ by at most {steps:.3g} steps of {2 * self.half_step:.3g}, RMS "
            f"{to_db(self.rms_error**2):.1f} dB of full scale, {rms_steps:.3g} steps ({explained})"
        )


def compare_chunk(chunk: Chunk, row: TrackRow, config: ModelConfig) -> list[SignalComparison]:
    """Compare a cached chunk with the song's recordings: the mixture, then the instruments in the config's order.

    Raises:
        DatasetError: a recording ends before the chunk does.
        AudioDecodeError: a recording cannot be decoded.
    """
    comparisons: list[SignalComparison] = []
    for name, signal, path in zip(("mixture", *config.instruments), chunk.signals, row.files, strict=True):
        recomputed = _recompute(path, chunk, config)
        recomputed_db = _decibels(chunk_magnitude(recomputed, config))
        if isinstance(signal, PcmSignal):
            comparisons.append(_compare_waveforms(name, signal, recomputed, recomputed_db, config))
        else:
            rounding_db = _rounding_db(signal) + _ARITHMETIC_DB
            comparisons.append(SignalComparison(name, _decibels(signal.magnitude()), recomputed_db, rounding_db))
    return comparisons


def _rounding_db(signal: Signal) -> float:
    if signal.codes.dtype == np.uint8:
        return (signal.max_db - signal.min_db) / _BYTE_STEPS / 2
    return float(_FLOAT16_ERROR_DB)


def _compare_waveforms(
    name: str, signal: PcmSignal, recomputed: NDArray[np.float32], recomputed_db: Decibels, config: ModelConfig
) -> WaveformComparison:
    cached = signal.waveform()
    error = (cached - recomputed).astype(np.float64)
    half_step = signal.scale / full_scale(signal.dtype) / 2
    # The error of a sample is uniform in the step, with a variance of step^2 / 12; Hann's window has a power of 3/8.
    noise = 2 * half_step * np.sqrt(config.frame_length * 3 / 8 / 12)
    return WaveformComparison(
        name,
        _decibels(chunk_magnitude(cached, config)),
        recomputed_db,
        rounding_db=0.0,
        noise_db=float(20 * np.log10(noise)),
        half_step=half_step,
        largest_error=float(np.abs(error).max()),
        rms_error=float(np.sqrt(np.mean(error**2))),
    )


def _recompute(path: Path, chunk: Chunk, config: ModelConfig) -> NDArray[np.float32]:
    start, num_samples = round(chunk.start_s * config.sample_rate), chunk.num_samples(config)
    # Decoded from the file's start, as for the cache: after a seek, a resampler's samples lie elsewhere.
    with closing(read_blocks(path, sample_rate=config.sample_rate, num_channels=config.num_channels)) as blocks:
        waveform = SampleWindow(blocks, config.num_channels).samples(start, start + num_samples)
    if len(waveform) < num_samples:
        raise DatasetError(
            f"ends before the chunk that starts at {chunk.start_s:.2f} s does, so it has changed since it was cached",
            path=path,
            hint="Cache the songs again.",
        )
    return waveform


def _decibels(magnitude: NDArray[np.float32]) -> Decibels:
    decibels: Decibels = 20 * np.log10(np.maximum(magnitude, np.float32(FLOOR)))
    return decibels
