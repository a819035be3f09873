"""The audio of a page: an excerpt of a file as mp3, and its waveform."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.separation.stem_files.options import MP3_RATES_HZ
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.audio_writer import AudioWriter

_BITRATES = {1: "64k", 2: "128k"}

_NUM_PEAKS = 1200  # about one a pixel of a wide page
_PEAK_SAMPLES = 256
_BLOCK_SAMPLES = 1024 * _PEAK_SAMPLES


@dataclass(frozen=True)
class AudioFormat:
    """What mp3 files of a page have in common, so that a browser can play them as one.

    Attributes:
        sample_rate: In Hz.
        num_channels: 1 or 2.
    """

    sample_rate: int
    num_channels: int


def mp3_format(sample_rate: int, num_channels: int) -> AudioFormat:
    """The format of mp3 nearest to audio of ``sample_rate`` (in Hz) that loses none of its frequencies below 24 kHz."""
    rates = [rate for rate in MP3_RATES_HZ if rate >= sample_rate]
    return AudioFormat(rates[0] if rates else MP3_RATES_HZ[-1], min(num_channels, 2))


def write_page_audio(
    path: Path, file: Path, audio: AudioFormat, *, offset_s: float = 0.0, duration_s: float | None = None
) -> bytes:
    """Write an excerpt of a file as mp3 of 64 kbit/s a channel, in memory that does not depend on its length.

    Args:
        path: Where to; whole or not at all.
        file: Anything that ffmpeg reads.
        audio: Rate and channels; see `mp3_format`.
        offset_s: Where the excerpt starts, in seconds.
        duration_s: Its length in seconds; None, or beyond the end: to the end.

    Returns:
        The waveform: the greatest absolute samples of at most 1200 parts of equal length, 255 for full scale.

    Raises:
        AudioDecodeError: if the file cannot be read, or has nothing after the offset.
        AudioEncodeError: if the mp3 cannot be written.
        FfmpegMissing: if there is no ffmpeg.
    """
    blocks = read_blocks(
        file,
        sample_rate=audio.sample_rate,
        num_channels=audio.num_channels,
        offset_s=offset_s,
        duration_s=duration_s,
        block_samples=_BLOCK_SAMPLES,
    )
    writer = AudioWriter(
        path,
        sample_rate=audio.sample_rate,
        num_channels=audio.num_channels,
        codec="mp3",
        bitrate=_BITRATES[audio.num_channels],
    )
    peaks: list[float] = []
    with closing(blocks), writer:
        for block in blocks:
            writer.write(block)
            peaks.extend(_peaks(block))
    return _waveform(np.array(peaks))


def _peaks(block: NDArray[np.float32]) -> Iterator[float]:
    absolute = np.abs(block).max(axis=1)
    if len(absolute):
        yield from np.maximum.reduceat(absolute, np.arange(0, len(absolute), _PEAK_SAMPLES))


def _waveform(peaks: NDArray[np.float64]) -> bytes:
    num_parts = min(_NUM_PEAKS, len(peaks))
    starts = np.arange(num_parts) * len(peaks) // max(num_parts, 1)
    parts = np.maximum.reduceat(peaks, starts) if num_parts else peaks
    return bytes(np.rint(255 * np.minimum(parts, 1)).astype(np.uint8))
