"""Chunks: the excerpts of a song, some 20 s long, whose spectrograms are cached."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.plan import ShardPlan
from sepcore.dataset.cache.quantisation import Codes, decode, encode
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.spectrogram import magnitude_spectrogram

_BLOCK_SAMPLES = 88_200

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Signal:
    """One signal of a chunk: `quantisation.encode`'s codes ``(frames, bins, channels)`` and their range in dB."""

    codes: Codes
    min_db: float
    max_db: float

    def magnitude(self) -> NDArray[np.float32]:
        """Linear amplitude, as near as the codes tell: float32 ``(frames, bins, channels)``."""
        return decode(self.codes, self.min_db, self.max_db)


@dataclass(frozen=True)
class Chunk:
    """An excerpt of the mixture and of all stems at the same place.

    Attributes:
        number: Place among the song's chunks, from 0.
        start_s: Where it starts in the song, in seconds.
        signals: The mixture, then the instruments in the order of the config, all of the same shape.
    """

    number: int
    start_s: float
    signals: tuple[Signal, ...]

    @property
    def num_frames(self) -> int:
        """STFT frames of each signal."""
        return len(self.signals[0].codes)


def song_chunks(plan: ShardPlan, config: ModelConfig, *, block_samples: int = _BLOCK_SAMPLES) -> Iterator[Chunk]:
    """Spectrograms of a song's chunks, one chunk at a time; every file is decoded once.

    All files advance together, and little more than one chunk of each is held: memory depends neither on the length of
    the song nor on the number of chunks. How the files are cut into blocks changes nothing.

    Args:
        plan: The song's files and where its chunks start.
        config: Audio, STFT and quantisation settings.
        block_samples: How much is decoded at once.

    Yields:
        The chunks in the order of their starts. Nothing is padded at a chunk's ends, and its signals are cut to the
        shortest; a chunk without a whole frame is left out, and so are those behind it.

    Raises:
        AudioDecodeError: a file that cannot be decoded.
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
            windows.append(_Window(open_files.enter_context(closing(blocks)), config.num_channels))
        for number, start in enumerate(plan.starts):
            waveforms = [window.samples(start, start + config.chunk_samples) for window in windows]
            length = min(len(waveform) for waveform in waveforms)
            if length < config.frame_length:
                return
            signals = tuple(_signal(waveform[:length], config) for waveform in waveforms)
            yield Chunk(number, start / config.sample_rate, signals)


def _signal(waveform: Samples, config: ModelConfig) -> Signal:
    magnitude = magnitude_spectrogram(
        waveform, frame_length=config.frame_length, hop_length=config.hop_length, num_bins=config.num_bins
    )
    return Signal(*encode(magnitude, config.cache_dtype))


class _Window:
    """Any stretch of a stream of samples, as long as none starts before the one asked for last."""

    def __init__(self, blocks: Iterator[Samples], num_channels: int) -> None:
        self._blocks = blocks
        self._first = 0
        self._held: Samples = np.empty((0, num_channels), np.float32)

    def samples(self, first: int, last: int) -> Samples:
        """From ``first`` until before ``last``: float32 ``(samples, channels)``, less where the stream ends before."""
        pieces = [self._held[first - self._first :]]
        end = self._first + len(self._held)
        while end < last and (block := next(self._blocks, None)) is not None:
            pieces.append(block[max(first - end, 0) :])
            end += len(block)
        self._held, self._first = np.concatenate(pieces), min(first, end)
        return self._held[: last - first]
