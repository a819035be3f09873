"""Audio out: float32 blocks to wav, mp3, ogg, m4a, wma, flac or opus, whole or not at all."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from sepcore.config.choices import Bits
from sepcore.errors import AudioEncodeError
from sepcore.signal.ffmpeg import FfmpegFailed, FfmpegProcess
from sepcore.signal.tags import SongTags, tagged_output
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of


class _Encoder(NamedTuple):
    name: str
    container: str


# Wav is written here, several times cheaper than through a pipe (180 s of stereo: 0.04 s against 0.2 s, of which 0.1 s
# starts ffmpeg, for every stem of every song). All others go through ffmpeg: beside the encoder's own work its start is
# little (flac 0.4 s, with libsndfile 0.35 s; mp3, ogg and m4a around 2 s), and every failure looks the same.
_ENCODERS = {
    "mp3": _Encoder("libmp3lame", "mp3"),
    "ogg": _Encoder("libvorbis", "ogg"),
    "m4a": _Encoder("aac", "ipod"),
    "wma": _Encoder("wmav2", "asf"),
    "flac": _Encoder("flac", "flac"),
    "opus": _Encoder("libopus", "opus"),
}
CODECS = ("wav", *_ENCODERS)

_Append = Callable[[memoryview], object]


class AudioWriter:
    """Context manager that writes one audio file block by block, in memory that does not depend on its length.

    The file gets its name when the block ends without an error; after an error nothing is left of it, and a file that
    stood there before still does. 16 and 24 bits and the lossy codecs clip what lies beyond [-1, 1]; 32 bits keep it.

    Args:
        path: Where the file shall stand; its folder is made, a file that stands there is replaced.
        sample_rate: In Hz.
        num_channels: Channels of the blocks and of the file.
        codec: One of `CODECS`, whatever the suffix of ``path``.
        bits: 16 or 24 (integers, rounded to the nearest) or 32 (float, wav only); the lossy codecs take no notice.
        bitrate: Of the lossy codecs, e.g. ``"128k"``; None: the encoder's own choice. The others take no notice.
        tags: Of the song, to be written beside the audio; not into wav, and without the cover into wma.

    Raises:
        AudioEncodeError: if codec and bits do not go together, or the file cannot be written: no right, no space, or
            ffmpeg refused it.
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
        self._file = _open(path, sample_rate, num_channels, codec, self._bits, bitrate, tags)

    def write(self, block: NDArray[np.float32]) -> None:
        """Append samples: float32 ``(samples, num_channels)``, any number of them."""
        if block.ndim != 2 or block.shape[1] != self._num_channels:
            raise ValueError(f"block has shape {block.shape}; expected (samples, {self._num_channels})")
        with named_errors(self._path):
            self._append(_quantise(block, self._bits).data)

    def __enter__(self) -> Self:
        with named_errors(self._path):
            self._append = self._file.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is not None:
            with suppress(OSError):  # on a full disk closing fails once more; the first error is the one to tell
                self._file.__exit__(exc_type, exc, traceback)
        else:
            with named_errors(self._path):
                self._file.__exit__(None, None, None)


def refuse_folder(path: Path) -> None:
    """Raise AudioEncodeError if a folder stands where a file shall."""
    if path.is_dir():
        raise AudioEncodeError("is a folder", path=path, hint="Give the name of a file.")


def write_audio(
    path: Path,
    waveform: NDArray[np.float32],
    *,
    sample_rate: int,
    codec: str | None = None,
    bits: Bits = 16,
    bitrate: str | None = None,
    tags: SongTags | None = None,
) -> None:
    """Write a whole waveform, float32 ``(samples, channels)``; arguments and errors as of `AudioWriter`.

    Args:
        path: Where the file shall stand.
        waveform: What to write.
        sample_rate: In Hz.
        codec: None: as the suffix of ``path`` says.
        bits: As of `AudioWriter`.
        bitrate: As of `AudioWriter`.
        tags: As of `AudioWriter`.
    """
    writer = AudioWriter(
        path,
        sample_rate=sample_rate,
        num_channels=waveform.shape[1],
        codec=codec or path.suffix.lower().removeprefix("."),
        bits=bits,
        bitrate=bitrate,
        tags=tags,
    )
    with writer:
        writer.write(waveform)


@contextmanager
def _open(
    path: Path,
    sample_rate: int,
    num_channels: int,
    codec: str,
    bits: int,
    bitrate: str | None,
    tags: SongTags | None,
) -> Iterator[_Append]:
    """Yield what appends `_quantise`-d samples to a temporary file, which becomes ``path`` at the end."""
    with atomic_path(path) as temporary:
        if codec == "wav":
            with wav_file(temporary, sample_rate=sample_rate, num_channels=num_channels, bits=bits) as append:
                yield append
        else:
            sample_format = {16: "s16le", 24: "s24le", 32: "f32le"}[bits]
            samples = ffmpeg.input("pipe:", format=sample_format, ar=sample_rate, ac=num_channels)
            encoder = _ENCODERS[codec]
            options = {"acodec": encoder.name}
            if bitrate and codec != "flac":
                options["audio_bitrate"] = bitrate
            with (
                tagged_output([samples], temporary, tags, container=encoder.container, options=options) as graph,
                _encoded_file(temporary, graph) as append,
            ):
                yield append


@contextmanager
def _encoded_file(temporary: Path, graph: Any) -> Iterator[_Append]:
    # Without -xerror a disk that is full for the last bytes is exit code 0.
    with FfmpegProcess(graph.global_args("-xerror"), feed=True, names={temporary: "the file"}) as process:

        def finish() -> None:
            if failure := process.failure():
                raise failure

        def append(block: memoryview) -> None:
            try:
                process.pipe.write(block)
            except BrokenPipeError:
                finish()  # says why ffmpeg stopped reading
                raise

        yield append
        finish()


def not_writable(path: Path, error: OSError | FfmpegFailed) -> AudioEncodeError:
    """The error of a file that cannot be written, and why."""
    reason, hint = (error.problem, error.hint) if isinstance(error, FfmpegFailed) else (reason_of(error), "")
    if error.errno is not None:
        hint = f"{fix_for(error)}, or choose another folder."
    return AudioEncodeError(f"cannot be written: {reason}", path=path, hint=hint, errno=error.errno)


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn errors of the system and of ffmpeg into an AudioEncodeError of ``path``, whatever its temporary name."""
    try:
        yield
    except (OSError, FfmpegFailed) as error:
        raise not_writable(path, error) from error


def _quantise(block: NDArray[np.float32], bits: int) -> NDArray[Any]:
    """Little-endian samples in a row: int16, 3 bytes of an int24, or float32.

    Full scale is 2^(bits - 1), as ffmpeg has it both ways: a file that is read and written again keeps its samples.
    """
    if bits == 32:
        return np.ascontiguousarray(block, "<f4")
    full_scale = 2 ** (bits - 1)
    scaled = np.rint(block * np.float32(full_scale))
    np.clip(scaled, -full_scale, full_scale - 1, out=scaled)
    if bits == 16:
        return np.ascontiguousarray(scaled, "<i2")
    return np.ascontiguousarray(np.ascontiguousarray(scaled, "<i4").view(np.uint8).reshape(-1, 4)[:, :3])


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
