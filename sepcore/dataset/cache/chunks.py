"""Chunks: the excerpts of a song, some 20 s long, whose spectrograms are cached."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config import ModelConfig
from sepcore.dataset.cache.quantisation import encode
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from sepcore.signal.audio_reader import probe_audio, read_waveform
from sepcore.signal.spectrogram import magnitude_spectrogram

_MARGIN_S = 0.5


@dataclass(frozen=True)
class Signal:
    """One signal's magnitudes in a chunk: `quantisation.encode`'s codes ``(frames, bins, channels)`` and range."""

    codes: NDArray[np.uint8]
    min_db: float
    max_db: float


@dataclass(frozen=True)
class Chunk:
    """An excerpt of the mixture and of all stems at the same place.

    Attributes:
        number: Place among the song's chunks, from 0; dropped ones count.
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


def chunk_starts(duration_s: float, *, chunk_duration_s: float, num_chunks: int) -> list[float]:
    """Where Spleeter starts the chunks of a song, in seconds.

    Spread evenly, half a second away from the song's ends; a single one lies in the middle. None starts before 0: in a
    song that is shorter than a chunk they all start near 0.
    """
    if num_chunks == 1:
        return [max((duration_s - chunk_duration_s) / 2, 0.0)]
    step_s = (duration_s - chunk_duration_s - 2 * _MARGIN_S) / (num_chunks - 1)
    return [max(_MARGIN_S + number * step_s, 0.0) for number in range(num_chunks)]


def compute_chunks(row: TrackRow, config: ModelConfig, *, num_chunks: int) -> list[Chunk]:
    """Spectrograms of a song's chunks; each file is decoded once.

    Args:
        row: The song. Where its mixture is shorter than the row says, the chunks are placed by the mixture.
        config: Audio and STFT settings.
        num_chunks: How many chunks to place.

    Returns:
        The chunks; those with fewer frames than a segment are left out. Nothing is padded at a chunk's ends, and its
        signals are cut to the shortest.

    Raises:
        DatasetError: a file that has another number of channels than the model.
        AudioDecodeError: a file that cannot be decoded.
    """
    for path in row.files:
        _check_channels(row, path, config)
    starts: list[float] = []
    spectra: list[list[Signal]] = [[] for _ in range(num_chunks)]
    for path in row.files:
        waveform = read_waveform(path, sample_rate=config.sample_rate, num_channels=config.num_channels)
        if not starts:
            duration_s = min(row.duration_s, len(waveform) / config.sample_rate)
            starts = chunk_starts(duration_s, chunk_duration_s=config.chunk_duration_s, num_chunks=num_chunks)
        for start_s, signals in zip(starts, spectra, strict=True):
            first = round(start_s * config.sample_rate)
            magnitude = magnitude_spectrogram(
                waveform[first : first + config.chunk_samples],
                frame_length=config.frame_length,
                hop_length=config.hop_length,
                num_bins=config.num_bins,
            )
            # Quantised at once: the codes of a whole song fit into memory, its float spectrograms may not.
            if len(magnitude) >= config.segment_frames:
                signals.append(Signal(*encode(magnitude)))
    return [
        Chunk(number, start_s, _cut_to_shortest(signals))
        for number, (start_s, signals) in enumerate(zip(starts, spectra, strict=True))
        if len(signals) == len(row.files)
    ]


def _check_channels(row: TrackRow, path: Path, config: ModelConfig) -> None:
    channels = probe_audio(path).num_channels
    if channels != config.num_channels:
        raise DatasetError(
            f"{row.name}: {path} has {channels} channel(s), n_channels is {config.num_channels}; "
            "training takes only songs with as many. Convert the song, or leave its row out."
        )


def _cut_to_shortest(signals: list[Signal]) -> tuple[Signal, ...]:
    frames = min(len(signal.codes) for signal in signals)
    return tuple(Signal(signal.codes[:frames], signal.min_db, signal.max_db) for signal in signals)
