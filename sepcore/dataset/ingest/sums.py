"""Write audio files that are sums of recordings, in one pass over the recordings."""

import logging
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Bits
from sepcore.dataset.ingest.songs import Recording
from sepcore.signal.audio_reader import read_blocks
from sepcore.signal.audio_writer import AudioWriter

logger = logging.getLogger(__name__)

_FULL_SCALE_16_BIT = 32768
# Resamplers and codecs differ by some samples; a larger difference is a fault in the recordings.
_NOTEWORTHY_S = 0.1

Block = NDArray[np.float32]


@dataclass(frozen=True)
class RecordingSum:
    """A wav file, and the recordings whose sum it holds."""

    path: Path
    recordings: tuple[Recording, ...]

    @property
    def bits(self) -> Bits:
        """16 for a stream of a ``.stem.mp4``, as in musdb; 32 (float) for a sum; 24 for another recording."""
        if len(self.recordings) > 1:
            return 32
        return 16 if self.recordings[0].is_stem_of_mp4 else 24


def write_sums(sums: Sequence[RecordingSum], *, sample_rate: int, num_channels: int) -> None:
    """Write wav files that are sums of recordings; each recording is decoded once, in memory independent of its length.

    Recordings are padded with silence to the longest of their sum, which is logged. A file that would exceed full scale
    in 24 bits, as loud mp3s do, is written as 32-bit float instead. For the conversion to ``sample_rate`` (Hz) and
    ``num_channels`` see `read_blocks`.

    Raises:
        AudioDecodeError: a recording cannot be decoded; no file is written.
        AudioEncodeError: a file cannot be written.
    """
    bits = {one: one.bits for one in sums}
    clipped = _write(bits, sample_rate, num_channels)
    if clipped:
        _write(dict.fromkeys(clipped, 32), sample_rate, num_channels)


def _write(bits: dict[RecordingSum, Bits], sample_rate: int, num_channels: int) -> list[RecordingSum]:
    """Write each sum with its bits, and return those that exceed full scale in 24 bits."""
    recordings = dict.fromkeys(recording for one in bits for recording in one.recordings)
    lengths = dict.fromkeys(recordings, 0)
    clipped: dict[RecordingSum, None] = {}
    with ExitStack() as stack:
        streams = {
            recording: stack.enter_context(closing(_blocks(recording, sample_rate, num_channels)))
            for recording in recordings
        }
        writers = {
            one: stack.enter_context(
                AudioWriter(one.path, sample_rate=sample_rate, num_channels=num_channels, codec="wav", bits=depth)
            )
            for one, depth in bits.items()
        }
        while blocks := _next_blocks(streams):
            for recording, block in blocks.items():
                lengths[recording] += len(block)
            for one, writer in writers.items():
                parts = [blocks[recording] for recording in one.recordings if recording in blocks]
                if parts:
                    total = reduce(_add, parts)
                    writer.write(total)
                    if bits[one] == 24 and np.abs(total).max() > 1:
                        clipped[one] = None
        for one in bits:
            _log_padding(one, lengths, sample_rate)
    return list(clipped)


def _blocks(recording: Recording, sample_rate: int, num_channels: int) -> Generator[Block, None, None]:
    blocks = read_blocks(recording.path, sample_rate=sample_rate, num_channels=num_channels, stream=recording.stream)
    with closing(blocks):
        for block in blocks:
            if recording.is_stem_of_mp4:  # as musdb decodes it: rounded to 16 bits
                block = np.rint(block * np.float32(_FULL_SCALE_16_BIT))
                np.clip(block, -_FULL_SCALE_16_BIT, _FULL_SCALE_16_BIT - 1, out=block)
                block /= np.float32(_FULL_SCALE_16_BIT)
            yield block


def _next_blocks(streams: dict[Recording, Generator[Block, None, None]]) -> dict[Recording, Block]:
    """The next block of every recording that has not ended; all have the same length, except for each one's last."""
    blocks = {recording: next(stream, None) for recording, stream in streams.items()}
    return {recording: block for recording, block in blocks.items() if block is not None}


def _add(one: Block, other: Block) -> Block:
    short, long = sorted((one, other), key=len)
    total = long.copy()
    total[: len(short)] += short
    return total


def _log_padding(one: RecordingSum, lengths: dict[Recording, int], sample_rate: int) -> None:
    longest = max(lengths[recording] for recording in one.recordings)
    for recording in one.recordings:
        lacking_s = (longest - lengths[recording]) / sample_rate
        if lacking_s:
            level = logging.WARNING if lacking_s > _NOTEWORTHY_S else logging.INFO
            message = "%s: %s ends %.3f s before the others, silence is added to it"
            logger.log(level, message, one.path, recording.path, lacking_s)
