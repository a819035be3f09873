"""Audio out: float32 blocks to wav, mp3, ogg, m4a, wma, flac or opus, whole or not at all."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Bits
from sepcore.errors import AudioEncodeError
from sepcore.signal.ffmpeg import FfmpegFailed, FfmpegProcess
from sepcore.signal.tags import SongTags, tagged_output
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of

# Wav is written here: starting ffmpeg takes longer than writing three minutes of stereo. With all others the encoder's
# own work takes most of the time, and with one program every failure looks the same.
# The names are ffmpeg's, of encoder and container.
_ENCODERS = {
    "mp3": ("libmp3lame", "mp3"),
    "ogg": ("libvorbis", "ogg"),
    "m4a": ("aac", "ipod"),
    "wma": ("wmav2", "asf"),
    "flac": ("flac", "flac"),
    "opus": ("libopus", "opus"),
}
CODECS = ("wav", *_ENCODERS)

_LARGEST = 0xFFFFFFFF  # the largest length that a RIFF file can state
_PCM, _IEEE_FLOAT = 1, 3


class AudioWriter:
    """Context manager that writes one audio file block by block, in memory that does not depend on its length.

    The file gets its name when the block ends without an error; after an error nothing of it is left, and an earlier
    file of that name is unchanged. 16 and 24 bits and the lossy codecs clip to [-1, 1]; 32 bits do not.

    Args:
        path: Its folder is created; an existing file is replaced.
        sample_rate: In Hz.
        num_channels: Channels of the blocks and of the file.
        codec: One of `CODECS`, whatever the suffix of ``path``.
        bits: For wav and flac: 16 or 24 (integers, rounded to the nearest) or 32 (float, wav only).
        bitrate: For the lossy codecs, e.g. ``"128k"``; None: the encoder's default.
        tags: Of the song; wav gets none, and wma no cover.

    Raises:
        AudioEncodeError: codec and bits do not go together, or the file cannot be written.
        FfmpegMissing: on entry, if the codec needs ffmpeg and there is none.
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate: int,
        num_channels: int,
        codec: str,
        bits: Bits = 16,
        bitrate: str | None = None,
        tags: SongTags | None = None,
    ) -> None:
        if codec not in CODECS:
            raise AudioEncodeError(
                f"cannot be written as {codec!r}", path=path, hint=f"The codecs are {', '.join(CODECS)}."
            )
        if codec == "flac" and bits == 32:
            raise AudioEncodeError("flac holds 16 or 24 bits, not 32 (float)", path=path, hint="Choose wav for float.")
        refuse_folder(path)
        self._path, self._num_channels = path, num_channels
        self._bits = bits if codec in ("wav", "flac") else 32
        if codec == "wav":
            self._file = _wav_file(path, sample_rate, num_channels, self._bits)
        else:
            self._file = _encoded_file(path, sample_rate, num_channels, codec, self._bits, bitrate, tags)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append samples: float32 ``(samples, num_channels)``, any number of them."""
        if block.ndim != 2 or block.shape[1] != self._num_channels:
            raise ValueError(f"block has shape {block.shape}; expected (samples, {self._num_channels})")
        with named_errors(self._path):
            self._append(_quantize(block, self._bits).data)

    def __enter__(self) -> Self:
        with named_errors(self._path):
            self._append = self._file.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            with suppress(OSError):  # on a full disk closing fails, too; the first error is the one to report
                self._file.__exit__(exc_type, exc, traceback)
        else:
            with named_errors(self._path):
                self._file.__exit__(None, None, None)


def refuse_folder(path: Path) -> None:
    """Raise AudioEncodeError if the path of an output file is a folder."""
    if path.is_dir():
        raise AudioEncodeError("is a folder", path=path, hint="Give the name of a file.")


def write_audio(
    path: Path,
    waveform: NDArray[np.float32],
    *,
    sample_rate: int,
    bits: Bits = 16,
    bitrate: str | None = None,
    tags: SongTags | None = None,
) -> None:
    """Write a whole waveform, float32 ``(samples, channels)``, as the suffix of ``path`` says; see `AudioWriter`."""
    with AudioWriter(
        path,
        sample_rate=sample_rate,
        num_channels=waveform.shape[1],
        codec=path.suffix.lower().removeprefix("."),
        bits=bits,
        bitrate=bitrate,
        tags=tags,
    ) as writer:
        writer.write(waveform)


@contextmanager
def _encoded_file(
    path: Path,
    sample_rate: int,
    num_channels: int,
    codec: str,
    bits: int,
    bitrate: str | None,
    tags: SongTags | None,
) -> Iterator[Callable[[memoryview], object]]:
    """Yield a function that appends `_quantize`-d samples to a file that ffmpeg encodes."""
    sample_format = {16: "s16le", 24: "s24le", 32: "f32le"}[bits]
    samples = ffmpeg.input("pipe:", format=sample_format, ar=sample_rate, ac=num_channels)
    encoder, container = _ENCODERS[codec]
    options = {"acodec": encoder} | ({"audio_bitrate": bitrate} if bitrate and codec != "flac" else {})
    with (
        atomic_path(path) as temporary,
        tagged_output([samples], temporary, tags, container=container, options=options) as graph,
        # Without -xerror ffmpeg exits with 0 when the disk has no room for the last bytes.
        FfmpegProcess(graph.global_args("-xerror"), feed=True, names={temporary: "the file"}) as process,
    ):

        def finish() -> None:
            if failure := process.failure():
                raise failure

        def append(block: memoryview) -> None:
            try:
                process.pipe.write(block)
            except BrokenPipeError:
                finish()  # tells why ffmpeg stopped reading
                raise

        yield append
        finish()


@contextmanager
def _wav_file(path: Path, sample_rate: int, num_channels: int, bits: int) -> Iterator[Callable[[memoryview], object]]:
    """Yield a function that appends `_quantize`-d samples to a wav file."""
    header = partial(wav_header, sample_rate=sample_rate, num_channels=num_channels, bits=bits)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(header(0))
        yield file.write
        data_bytes = file.tell() - len(header(0))
        file.write(bytes(data_bytes % 2))  # chunks have an even length
        file.seek(0)
        file.write(header(data_bytes))


def wav_header(data_bytes: int, *, sample_rate: int, num_channels: int, bits: int) -> bytes:
    """The part of a wav file before its ``data_bytes`` of samples; its own length is always the same.

    A file beyond 4 GiB becomes RF64 (EBU Tech 3306); its 64-bit lengths replace the filler chunk of smaller files. 16
    and 24 ``bits`` are integers, 32 are floats.
    """
    frame_bytes = num_channels * bits // 8
    tag = _IEEE_FLOAT if bits == 32 else _PCM
    layout = struct.pack("<HHIIHH", tag, num_channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits)
    body = b"fmt " + struct.pack("<I", len(layout)) + layout
    if bits == 32:  # formats other than integers state their length in a chunk of their own, too
        body += struct.pack("<4sII", b"fact", 4, min(data_bytes // frame_bytes, _LARGEST))
    lengths_bytes = struct.calcsize("<QQQI")
    riff_bytes = 4 + 8 + lengths_bytes + len(body) + 8 + data_bytes + data_bytes % 2
    if riff_bytes <= _LARGEST:
        start = struct.pack("<4sI4s4sI", b"RIFF", riff_bytes, b"WAVE", b"JUNK", lengths_bytes) + bytes(lengths_bytes)
        return start + body + struct.pack("<4sI", b"data", data_bytes)
    start = struct.pack("<4sI4s4sI", b"RF64", _LARGEST, b"WAVE", b"ds64", lengths_bytes)
    start += struct.pack("<QQQI", riff_bytes, data_bytes, data_bytes // frame_bytes, 0)
    return start + body + struct.pack("<4sI", b"data", _LARGEST)


def _quantize(block: NDArray[np.float32], bits: int) -> NDArray[Any]:
    """Little-endian samples in a row: int16, 3 bytes of an int24, or float32.

    Full scale is 2^(bits - 1), as in ffmpeg: a file that is read and written again keeps its samples.
    """
    if bits == 32:
        return np.ascontiguousarray(block, "<f4")
    full_scale = 2 ** (bits - 1)
    scaled = np.rint(block * np.float32(full_scale))
    np.clip(scaled, -full_scale, full_scale - 1, out=scaled)
    if bits == 16:
        return np.ascontiguousarray(scaled, "<i2")
    return np.ascontiguousarray(np.ascontiguousarray(scaled, "<i4").view(np.uint8).reshape(-1, 4)[:, :3])


def not_writable(path: Path, error: OSError | FfmpegFailed) -> AudioEncodeError:
    """The error of a file that cannot be written, with the reason."""
    reason, hint = (error.problem, error.hint) if isinstance(error, FfmpegFailed) else (reason_of(error), "")
    if error.errno is not None:
        hint = f"{fix_for(error)}, or choose another folder."
    return AudioEncodeError(f"cannot be written: {reason}", path=path, hint=hint, errno=error.errno)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system and of ffmpeg into an AudioEncodeError for ``path``, not for its temporary name."""
    try:
        yield
    except (OSError, FfmpegFailed) as error:
        raise not_writable(path, error) from error
