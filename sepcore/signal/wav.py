"""The container of wav files, of any length."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LARGEST = 0xFFFFFFFF  # what a length in a RIFF file can say
_PCM, _IEEE_FLOAT = 1, 3


def wav_header(data_bytes: int, *, sample_rate: int, num_channels: int, bits: int) -> bytes:
    """What stands before the samples in a wav file; its length does not depend on ``data_bytes``.

    A file beyond 4 GiB becomes RF64 (EBU Tech 3306), whose 64-bit lengths take the place that a filler chunk keeps in
    all others.

    Args:
        data_bytes: Length of the samples.
        sample_rate: In Hz.
        num_channels: Interleaved channels.
        bits: 16 or 24 (integers), 32 (float); little-endian.
    """
    frame_bytes = num_channels * bits // 8
    tag = _IEEE_FLOAT if bits == 32 else _PCM
    layout = struct.pack("<HHIIHH", tag, num_channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits)
    body = b"fmt " + struct.pack("<I", len(layout)) + layout
    if bits == 32:  # all formats but integers say how long they are once more
        body += struct.pack("<4sII", b"fact", 4, min(data_bytes // frame_bytes, _LARGEST))
    lengths_bytes = struct.calcsize("<QQQI")
    riff_bytes = 4 + 8 + lengths_bytes + len(body) + 8 + data_bytes + data_bytes % 2
    if riff_bytes <= _LARGEST:
        start = struct.pack("<4sI4s4sI", b"RIFF", riff_bytes, b"WAVE", b"JUNK", lengths_bytes) + bytes(lengths_bytes)
        return start + body + struct.pack("<4sI", b"data", data_bytes)
    start = struct.pack("<4sI4s4sI", b"RF64", _LARGEST, b"WAVE", b"ds64", lengths_bytes)
    start += struct.pack("<QQQI", riff_bytes, data_bytes, data_bytes // frame_bytes, 0)
    return start + body + struct.pack("<4sI", b"data", _LARGEST)


@contextmanager
def wav_file(path: Path, *, sample_rate: int, num_channels: int, bits: int) -> Iterator[Callable[[memoryview], object]]:
    """Yield a function that appends samples (as `wav_header` describes them) to a wav file that it makes."""

    def header(data_bytes: int) -> bytes:
        return wav_header(data_bytes, sample_rate=sample_rate, num_channels=num_channels, bits=bits)

    with path.open("wb") as file:
        file.write(header(0))
        yield file.write
        data_bytes = file.tell() - len(header(0))
        file.write(bytes(data_bytes % 2))  # chunks have an even length
        file.seek(0)
        file.write(header(data_bytes))
