"""A file's samples in blocks: decoded by libsndfile where that gives the same samples faster, else by ffmpeg."""

import logging
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
import soundfile
from numpy.typing import NDArray

from sepcore.errors import AudioDecodeError
from sepcore.signal.ffmpeg import FfmpegFailed, FfmpegProcess, file_url
from sepcore.system.os_errors import fix_for

logger = logging.getLogger(__name__)

Blocks = Generator[NDArray[np.float32], None, None]

# Tests show that libsndfile and ffmpeg give the same samples of these; of mp3, ogg and ADPCM they do not.
_FORMATS = {"AIFF", "FLAC", "RF64", "W64", "WAV", "WAVEX"}
_SUBTYPES = {"DOUBLE", "FLOAT", "PCM_16", "PCM_24", "PCM_32", "PCM_S8", "PCM_U8"}
# No other file is passed to libsndfile: its mp3 reader prints to stderr.
_FIRST_BYTES = (b"FORM", b"RF64", b"RIFF", b"fLaC", b"riff")

# What libsndfile notes about a file whose lengths contradict each other. An unknown chunk is no fault.
_FAULT = re.compile(r"should be|^Error|^\*\*\*(?!.*\(unknown marker\))", re.MULTILINE)
# The notes end after 2048 bytes; a full page may hide a fault.
_LONGEST_NOTES = 2000
_UNKNOWN_LENGTH = 2**63 - 1


@dataclass(frozen=True)
class SndfileInfo:
    """A file that libsndfile reads exactly as ffmpeg does."""

    sample_rate: int
    num_channels: int
    num_samples: int

    @property
    def duration_s(self) -> float:
        """Its exact length."""
        return self.num_samples / self.sample_rate


def probe_sndfile(path: Path) -> SndfileInfo | None:
    """Read the header of an intact wav, w64, rf64, aiff or flac file, whatever its name.

    None for all other files and in case of doubt: a missing or empty file, a header that promises more than the file
    holds, a data chunk without a length.
    """
    if not path.is_file():  # opening a pipe would consume its content
        return None
    with suppress(OSError, soundfile.SoundFileError):
        with path.open("rb") as content:
            if content.read(4) not in _FIRST_BYTES:
                return None
        with _opened(path) as file:
            if (
                file.format in _FORMATS
                and file.subtype in _SUBTYPES
                and 0 < file.frames < _UNKNOWN_LENGTH
                and len(file.extra_info) < _LONGEST_NOTES
                and not _FAULT.search(file.extra_info)
            ):
                return SndfileInfo(file.samplerate, file.channels, file.frames)
    return None


def read_sndfile(path: Path, *, start: int, num_samples: int, block_samples: int) -> Blocks:
    """Decode an excerpt, which must lie within the file, of a file that `probe_sndfile` accepts.

    The blocks are float32 ``(block_samples, channels)``, the last one shorter; NaN is let through. In a damaged file
    they end with the last whole block before the damage.
    """
    with suppress(OSError, soundfile.SoundFileError), _opened(path) as file:
        file.seek(start)
        while num_samples:
            wanted = min(block_samples, num_samples)
            block: NDArray[np.float32] = file.read(wanted, dtype="float32", always_2d=True)
            if len(block) < wanted:
                return
            num_samples -= wanted
            yield block


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    # By its descriptor: a name would have to be Unicode, and its extension could change how it is read.
    with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as opened:
        yield opened


def decode_directly(
    path: Path, info: SndfileInfo, *, start: int, num_samples: int | None, block_samples: int
) -> Blocks:
    """Decode with libsndfile, to the end if ``num_samples`` is None; if it finds damage, ffmpeg goes on from there.

    Yields:
        float32 ``(block_samples, channels)``, the last one shorter; at least one.

    Raises:
        AudioDecodeError: there is no sample after ``start``; see also `decode_with_ffmpeg`.
    """
    left = info.num_samples - start
    if num_samples is not None:
        left = min(left, num_samples)
    if left <= 0:
        raise _no_audio(path, after=start)
    done = 0
    for block in read_sndfile(path, start=start, num_samples=left, block_samples=block_samples):
        done += len(block)
        yield block
    if done < left:
        # From the file's start: seeking in a damaged file is not exact.
        end = {} if num_samples is None else {"t": f"{(start + num_samples) / info.sample_rate:.6f}"}
        graph = float_graph(path, sample_rate=info.sample_rate, options=end)
        yield from decode_with_ffmpeg(
            path, graph, info.num_channels, skip=start + done, done=done, block_samples=block_samples
        )


def float_graph(
    path: Path, *, sample_rate: int, options: dict[str, Any], stream: int = 0, seek: dict[str, str] | None = None
) -> Any:
    """A graph that sends a stream's samples down a pipe; ``options`` are for the output, ``seek`` for the input."""
    return ffmpeg.input(file_url(path), **(seek or {}))[f"a:{stream}"].output(
        "pipe:", format="f32le", acodec="pcm_f32le", ar=sample_rate, **options
    )


def decode_with_ffmpeg(
    path: Path, graph: Any, channels: int, *, skip: int, block_samples: int, done: int = 0
) -> Blocks:
    """Run a `float_graph` and drop the first ``skip`` samples; closing the generator ends ffmpeg.

    Yields:
        float32 ``(block_samples, channels)``, the last one shorter.

    Raises:
        AudioDecodeError: ffmpeg fails, or there is no sample and the caller has ``done`` none either.
    """
    total, to_skip = done, skip
    with FfmpegProcess(graph, feed=False) as process:
        while True:
            block = np.empty((min(block_samples, to_skip) or block_samples, channels), "<f4")
            num_bytes = process.pipe.readinto(block.data.cast("B"))  # type: ignore[attr-defined]
            block = block[: num_bytes // (channels * block.itemsize)]
            if not len(block):
                break
            if to_skip:
                to_skip -= len(block)
                continue
            total += len(block)
            yield block
        if failure := process.failure():
            raise not_readable(path, "cannot be decoded", failure)
        if not total:
            raise _no_audio(path, after=skip)
        if complaint := process.last_line():
            logger.warning("%s: is damaged; ffmpeg read what it could. Its last message: %s", path, complaint)


def _no_audio(path: Path, *, after: int) -> AudioDecodeError:
    return AudioDecodeError(f"holds no audio{' after the offset' if after else ''}", path=path)


def not_readable(path: Path, problem: str, failure: FfmpegFailed) -> AudioDecodeError:
    """The error of a file at which ffmpeg failed, with ffmpeg's reason."""
    hint = "" if failure.errno is None else f"{fix_for(failure, reading=True)}."
    return AudioDecodeError(f"{problem}: {failure.problem}", path=path, hint=hint, errno=failure.errno)
