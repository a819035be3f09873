"""Read cached chunks, whole or in part; whatever is read is verified by its checksums."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.byte_range import ByteRange
from sepcore.dataset.cache.chunks import Chunk, Signals, decode
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.parquet import read_row
from sepcore.dataset.cache.pcm import BLOCK_SAMPLES, PcmSignal, decode_pcm
from sepcore.dataset.cache.pcm_index import PcmIndex
from sepcore.dataset.cache.tfrecord import parse_record
from sepcore.errors import DatasetError
from sepcore.system.os_errors import fix_for, reason_of

_VERIFY = "`python -m flows.cache -p CONFIG --verify`"


class ChunkReader:
    """Reads parts of the chunks of an index; several threads may read at once.

    Of a chunk of waveforms only the wanted samples of the wanted signals are read, and what their checksums cover
    beyond them: less than two blocks of 2^14 samples a signal. A chunk of spectrograms is read and verified as a whole,
    and decoded in part.
    """

    def __init__(self, index: ChunkIndex, config: ModelConfig) -> None:
        self._index, self._paths = index, [Path(path) for path in index.shard_paths]
        self._instruments = config.instruments
        self._num_bins, self._num_channels = config.num_bins, config.num_channels

    def read(self, chunk: int, first: int, count: int, signals: slice = slice(None)) -> NDArray[np.float32]:
        """Read a part of some signals of one chunk.

        Args:
            chunk: The chunk's number in the index, from 0.
            first: First STFT frame, of waveforms first sample, >= 0.
            count: How many, >= 1; up to the chunk's `ChunkIndex.length`.
            signals: Which signals: 0 is the mixture, then come the instruments in the order of the config.

        Returns:
            Magnitudes, linear amplitude >= 0, float32 ``(signals, count, bins, channels)``; of waveforms the samples,
            float32 ``(signals, count, channels)``, in [-1, 1] unless the recording is beyond full scale.

        Raises:
            DatasetError: the chunk is damaged, or its shard is missing.
            ValueError: the chunk does not have such a part.
        """
        frame_shape = (self._num_channels,) if self._index.pcm is not None else (self._num_bins, self._num_channels)
        num_signals = len(range(1 + len(self._instruments))[signals])
        read = np.empty((num_signals, count, *frame_shape), np.float32)
        self.read_into(tuple(read), chunk, first, signals)
        return read

    def read_into(
        self, out: Sequence[NDArray[np.float32]], chunk: int, first: int, signals: slice = slice(None)
    ) -> None:
        """Do what `read` does into an array for each signal, contiguous, which also says how much is read."""
        length, count = int(self._index.length[chunk]), len(out[0])
        if not (first >= 0 and count >= 1 and first + count <= length):
            raise ValueError(f"{count} from {first} of a chunk of {length}; stay within the chunk.")
        with _errors_named(self._index, chunk):
            if self._index.pcm is not None:
                self._read_waveforms(self._index.pcm, out, chunk, first, signals)
            else:
                self._read_magnitudes(out, chunk, slice(first, first + count), signals)

    def _read_magnitudes(self, out: Sequence[NDArray[np.float32]], chunk: int, frames: slice, wanted: slice) -> None:
        index, path = self._index, self._paths[self._index.shard[chunk]]
        where = ByteRange(int(index.offset[chunk]), int(index.num_bytes[chunk]), int(index.checksum[chunk]))
        signals = verified_signals(path, where, int(index.chunk[chunk]), self._instruments, wanted)
        for signal, magnitudes in zip(signals, out, strict=True):
            assert not isinstance(signal, PcmSignal)  # the index is of spectrograms
            decode(signal.codes[frames], signal.min_db, signal.max_db, out=magnitudes)

    def _read_waveforms(
        self, pcm: PcmIndex, out: Sequence[NDArray[np.float32]], chunk: int, first: int, wanted: slice
    ) -> None:
        length, checksums, count = int(self._index.length[chunk]), pcm.block_checksums[chunk], len(out[0])
        blocks = range(first // BLOCK_SAMPLES, -(-(first + count) // BLOCK_SAMPLES))
        start, end = blocks.start * BLOCK_SAMPLES, min(blocks.stop * BLOCK_SAMPLES, length)
        signals = range(1 + len(self._instruments))[wanted]
        with self._paths[self._index.shard[chunk]].open("rb", buffering=0) as shard:
            for signal, waveform in zip(signals, out, strict=True):
                size = int(pcm.sample_bytes[chunk, signal]) * self._num_channels  # of all channels' samples
                offset = int(pcm.pcm_offset[chunk, signal]) + start * size
                codes = _read_at(shard.fileno(), offset, (end - start) * size)
                _verify_blocks(codes, BLOCK_SAMPLES * size, checksums[signal, blocks.start : blocks.stop])
                cut = codes[(first - start) * size : (first - start + count) * size]
                decode_pcm(cut, float(pcm.scale[chunk, signal]), waveform)


def read_chunk(index: ChunkIndex, number: int) -> Chunk:
    """Read one chunk, by its row in the index (from 0), and verify its checksum.

    Raises:
        DatasetError: the chunk is damaged, or its shard is missing.
    """
    row = index.row(number)
    where = ByteRange(row["offset"], row["num_bytes"], row["checksum"])
    with _errors_named(index, number):
        signals = verified_signals(index.folder / row["shard"], where, row["chunk"], row["instruments"])
    return Chunk(row["chunk"], row["start_s"], signals)


class DamagedChunk(Exception):
    """Bytes do not match their checksum."""


def verified_signals(
    path: Path, where: ByteRange, chunk: int, instruments: Sequence[str], wanted: slice = slice(None)
) -> Signals:
    """Some signals of a chunk in a shard, by default all, by its number there; `DamagedChunk` if they are not whole."""
    with path.open("rb") as file:
        written = where.read_from(file)
        if written is None:
            raise DamagedChunk
        if path.suffix == ".tfrecord":
            return parse_record(written, wanted)
        import pyarrow as pa

        try:
            return read_row(file, chunk, instruments, wanted)
        # All of these occurred after bits were flipped in the list of row groups at the file's end.
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError) as error:
            raise DamagedChunk from error


def _read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Some bytes of a file, fewer at its end."""
    parts = []
    while size and (part := os.pread(descriptor, size, offset)):  # may give fewer bytes than asked for
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _verify_blocks(codes: bytes, size: int, checksums: NDArray[np.uint32]) -> None:
    for number, checksum in enumerate(checksums.tolist()):
        if google_crc32c.value(codes[number * size : (number + 1) * size]) != checksum:
            raise DamagedChunk


@contextmanager
def _errors_named(index: ChunkIndex, number: int) -> Iterator[None]:
    """Turn errors of reading a chunk into one that names its song."""
    try:
        yield
    except (OSError, DamagedChunk) as error:
        row = index.row(number)
        path, what = index.folder / row["shard"], f"chunk {row['chunk']} of {row['song']!r}"
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            problem = f"{what} cannot be read ({reason_of(error)})"
            hint = f"{fix_for(error, reading=True)}, or cache the song again with {_VERIFY}."
            raise DatasetError(problem, path=path, hint=hint, errno=error.errno) from error
        fault = "is damaged" if isinstance(error, DamagedChunk) else "is missing"
        raise DatasetError(f"{what} {fault}", path=path, hint=f"Run {_VERIFY} to cache the song again.") from error
