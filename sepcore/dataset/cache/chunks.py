"""Chunks: excerpts of a song, some 20 s long, that are cached as spectrograms or PCM, and the codes of magnitudes.

A magnitude is a byte on Spleeter's decibel scale of 100 dB, or a float16. Bytes are rounded, not truncated as in
Spleeter: this halves the error, on music from -31.9 dB to -37.7 dB of the signal. Float16 takes twice the space for
-73.6 dB.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.pcm import BeyondScale, PcmSignal, PcmType, encode_pcm, residual_db
from sepcore.dataset.cache.plan import ShardPlan, fewest_samples
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.spectrogram import magnitude_spectrogram

DB_RANGE = 100.0
"""The range of byte codes: magnitudes further below the loudest bin are raised to this distance from it."""
FLOOR = 1e-9
"""Smallest magnitude that is distinguished from silence (-180 dB)."""
FLOAT16_PEAK = 32768.0
"""The loudest bin as float16. Normal numbers, with their relative error of 2^-11 at most, then reach 174 dB down."""
_HIGHEST_CODE = 255
# 20 log10(x) = _DB_PER_NEPER ln(x); numpy's natural logarithm of float32 is vectorized, its log10 is not.
_DB_PER_NEPER = np.float32(20 / np.log(10))
_BLOCK_SAMPLES = 88_200

Samples = NDArray[np.float32]
Codes = NDArray[np.uint8] | NDArray[np.float16]


@dataclass(frozen=True)
class Signal:
    """One spectrogram of a chunk: the codes of `encode`, ``(frames, bins, channels)``, and their range in dB."""

    codes: Codes
    min_db: float
    max_db: float

    def __len__(self) -> int:
        """STFT frames."""
        return len(self.codes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, bins and channels."""
        return self.codes.shape

    def magnitude(self) -> NDArray[np.float32]:
        """The decoded magnitudes, linear amplitude: float32 ``(frames, bins, channels)``."""
        return decode(self.codes, self.min_db, self.max_db)


Signals = tuple[Signal | PcmSignal, ...]


@dataclass(frozen=True)
class Chunk:
    """An excerpt of the mixture and of all stems at the same place."""

    number: int  # place among the song's chunks, from 0
    start_s: float  # where it starts in the song, in seconds
    # The mixture, then the instruments in the order of the config, all of the same shape and the same kind.
    signals: Signals
    residual_db: float | None = None  # see `pcm.residual_db`; only of waveforms that are about to be stored

    @property
    def length(self) -> int:
        """STFT frames of each spectrogram, or samples of each waveform."""
        return len(self.signals[0])

    def num_samples(self, config: ModelConfig) -> int:
        """Samples per channel that it spans."""
        if isinstance(self.signals[0], PcmSignal):
            return self.length
        return (self.length - 1) * config.hop_length + config.frame_length


def song_chunks(plan: ShardPlan, config: ModelConfig, *, block_samples: int = _BLOCK_SAMPLES) -> Iterator[Chunk]:
    """The spectrograms or waveforms of a song's chunks, one chunk at a time; every file is decoded once.

    All files advance together, and little more than one chunk of each is held: memory depends neither on the length of
    the song nor on the number of chunks.

    Args:
        plan: The song's files and where its chunks start.
        config: Audio, STFT and quantization settings.
        block_samples: How much is decoded at once; it does not change the result.

    Yields:
        The chunks in the order of their starts, without padding, their signals cut to the shortest. They end before
        the first one without a whole frame, or of waveforms without a sample.

    Raises:
        AudioDecodeError: a file cannot be decoded.
        DatasetError: a waveform is too loud for PCM, see `encode_pcm`.
    """
    with ExitStack() as open_files:
        windows = []
        for file in plan.files:
            blocks = read_blocks(
                Path(file.path),
                sample_rate=config.sample_rate,
                num_channels=config.num_channels,
                block_samples=block_samples,
            )
            windows.append(SampleWindow(open_files.enter_context(closing(blocks)), config.num_channels))
        for number, start in enumerate(plan.starts):
            waveforms = [window.samples(start, start + config.chunk_samples) for window in windows]
            length = min(len(waveform) for waveform in waveforms)
            if length < fewest_samples(config):
                return
            waveforms, start_s = [waveform[:length] for waveform in waveforms], start / config.sample_rate
            if config.cache_dtype == "int16" or config.cache_dtype == "int24":
                signals = _pcm_signals(waveforms, plan, config.cache_dtype, config.sample_rate)
                yield Chunk(number, start_s, signals, residual_db(waveforms))
            else:
                magnitudes = (chunk_magnitude(waveform, config) for waveform in waveforms)
                yield Chunk(number, start_s, tuple(Signal(*encode(each, config.cache_dtype)) for each in magnitudes))


def _pcm_signals(waveforms: list[Samples], plan: ShardPlan, dtype: PcmType, sample_rate: int) -> tuple[PcmSignal, ...]:
    signals = []
    for waveform, file in zip(waveforms, plan.files, strict=True):
        try:
            signals.append(encode_pcm(waveform, dtype, sample_rate=sample_rate))
        except BeyondScale as error:
            hint = "Scale its samples to [-1, 1]; they look like integers in a file of floats."
            raise DatasetError(f"{file.signal} of {plan.song!r} {error}", path=Path(file.path), hint=hint) from error
    return tuple(signals)


def chunk_magnitude(waveform: Samples, config: ModelConfig) -> NDArray[np.float32]:
    """`magnitude_spectrogram` with a config's settings."""
    return magnitude_spectrogram(
        waveform, frame_length=config.frame_length, hop_length=config.hop_length, num_bins=config.num_bins
    )


class SampleWindow:
    """Reads stretches of a stream of samples; none may start before the previous one."""

    def __init__(self, blocks: Iterator[Samples], num_channels: int) -> None:
        self._blocks = blocks
        self._first = 0
        self._held: Samples = np.empty((0, num_channels), np.float32)

    def samples(self, first: int, last: int) -> Samples:
        """The samples ``first`` to ``last - 1``, or fewer at the stream's end: float32 ``(samples, channels)``."""
        pieces = [self._held[first - self._first :]]
        end = self._first + len(self._held)
        while end < last and (block := next(self._blocks, None)) is not None:
            pieces.append(block[max(first - end, 0) :])
            end += len(block)
        self._held, self._first = np.concatenate(pieces), min(first, end)
        return self._held[: last - first]


def encode(magnitude: NDArray[np.float32], dtype: Literal["uint8", "float16"] = "uint8") -> tuple[Codes, float, float]:
    """Codes of the magnitudes of one signal, scaled by its own loudest bin.

    Args:
        magnitude: Linear amplitude, finite, >= 0; float32 of any shape, not empty.
        dtype: ``uint8``: evenly spaced in dB; ``float16``: linear, the loudest bin being `FLOAT16_PEAK`.

    Returns:
        Codes of the same shape, and the dB values of the quietest and the loudest bin, -180 dB at least. For bytes
        these are the values of the codes 0 and 255, at most 100 dB apart (silence: both -180 dB, all codes 0).
    """
    if dtype == "float16":
        return _encode_float16(magnitude)
    decibels = np.log(np.maximum(magnitude, np.float32(FLOOR)))
    decibels *= _DB_PER_NEPER
    max_db = decibels.max()
    min_db = max(decibels.min(), max_db - np.float32(DB_RANGE))
    if max_db == min_db:
        return np.zeros(magnitude.shape, np.uint8), float(min_db), float(max_db)
    decibels -= min_db
    decibels *= np.float32(_HIGHEST_CODE) / (max_db - min_db)
    # The maximum raises what lies below the range; adding a half makes the cast round.
    np.maximum(decibels, 0, out=decibels)
    decibels += np.float32(0.5)
    return decibels.astype(np.uint8), float(min_db), float(max_db)


def _encode_float16(magnitude: NDArray[np.float32]) -> tuple[NDArray[np.float16], float, float]:
    extremes = np.maximum([magnitude.min(), magnitude.max()], FLOOR)
    # Rounded as it is stored: decoding must multiply by the same scale that was divided by.
    min_db, max_db = (float(np.float32(20 * np.log10(extreme))) for extreme in extremes)
    return (magnitude / _float16_step(max_db)).astype("<f2"), min_db, max_db


def _float16_step(max_db: float) -> np.float32:
    return np.float32(10 ** (max_db / 20) / FLOAT16_PEAK)


def decode(
    codes: NDArray[Any], min_db: float, max_db: float, *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """The magnitudes (linear amplitude, float32, same shape) of `encode`'s codes; written to ``out`` if there is one.

    In the 100 dB below the loudest bin, bytes are off by at most half a step, (max_db - min_db) / 510 dB; float16 is
    off by at most 0.005 dB in the upper 174 dB.
    """
    if codes.dtype == np.float16:
        scaled: NDArray[np.float32] = np.multiply(codes, _float16_step(max_db), out=out, dtype=np.float32)
        return scaled
    # Looked up: an exponential for every bin would take several times as long.
    of_code = (10 ** (np.linspace(min_db, max_db, _HIGHEST_CODE + 1) / 20)).astype(np.float32)
    # The default mode would copy the result once more.
    magnitude: NDArray[np.float32] = of_code.take(codes, out=out, mode="clip")
    return magnitude
