"""A file's samples in blocks as they are decoded: by libsndfile where that is the same and faster, else by ffmpeg."""

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
# Of these the tests say that both libraries give the same samples; of mp3, ogg and ADPCM they do not.
_FORMATS = {"AIFF", "FLAC", "RF64", "W64", "WAV", "WAVEX"}
# Nothing else is given to libsndfile: its mp3 reader writes its own remarks on stderr.
_FIRST_BYTES = (b"FORM", b"RF64", b"RIFF", b"fLaC", b"riff")
_SUBTYPES = {"DOUBLE", "FLOAT", "PCM_16", "PCM_24", "PCM_32", "PCM_S8", "PCM_U8"}

# What libsndfile notes of a file whose lengths contradict each other. A chunk that it only does not know is no fault.
_FAULT = re.compile(r"should be|^Error|^\*\*\*(?!.*\(unknown marker\))", re.MULTILINE)
# Its notes end after 2048 bytes; what a full page leaves out is not known.
_LONGEST_NOTES = 2000
_UNKNOWN_LENGTH = 2**63 - 1


@dataclass(frozen=True)
class SndfileInfo:
    """A file that libsndfile reads as ffmpeg does: its sample rate in Hz, its channels, its samples."""

    sample_rate: int
    num_channels: int
    num_samples: int


def probe_sndfile(path: Path) -> SndfileInfo | None:
    """What a sound wav, w64, rf64, aiff or flac file says about itself, whatever its name.

    None for all others, and where anything is in doubt: a file that is missing or empty, a header that promises more
    than the file holds, a data chunk without a length.
    """
    if not path.is_file():  # opening a pipe would take what it holds
        return None
    with suppress(OSError, soundfile.SoundFileError):
        return _probe(path) if _is_known(path) else None
    return None


def read_sndfile(
    path: Path, *, start: int, num_samples: int, block_samples: int
) -> Generator[NDArray[np.float32], None, None]:
    """Decode an excerpt of a file that `probe_sndfile` takes.

    Args:
        path: The file.
        start: First sample, found by seeking.
        num_samples: Length; the excerpt must lie within the file.
        block_samples: Length of a block.

    Yields:
        float32 ``(block_samples, channels)``, NaN let through, the last one shorter. Ends after the last whole block
        before the first damage.
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
    # By its descriptor: a name would have to be Unicode, and could mean something by its extension.
    with path.open("rb") as file, soundfile.SoundFile(file.fileno(), closefd=False) as opened:
        yield opened


def _probe(path: Path) -> SndfileInfo | None:
    with _opened(path) as file:
        notes = file.extra_info
        sound = (
            file.format in _FORMATS
            and file.subtype in _SUBTYPES
            and 0 < file.frames < _UNKNOWN_LENGTH
            and len(notes) < _LONGEST_NOTES
            and not _FAULT.search(notes)
        )
        return SndfileInfo(file.samplerate, file.channels, file.frames) if sound else None


def _is_known(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _FIRST_BYTES


def decode_directly(
    path: Path, info: SndfileInfo, *, start: int, num_samples: int | None, block_samples: int
) -> Blocks:
    """Decode with libsndfile, and with ffmpeg from where libsndfile finds the file damaged.

    Args:
        path: The file.
        info: What `probe_sndfile` says about it.
        start: First sample.
        num_samples: How many at most; None: to the end.
        block_samples: Length of a block.

    Yields:
        float32 ``(block_samples, channels)``, the last one shorter; at least one.

    Raises:
        AudioDecodeError: if ``start`` is at the end or beyond; as `decode_with_ffmpeg` does.
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
        # From the file's start: in a damaged one, seeking is not exact.
        end = {} if num_samples is None else {"t": f"{(start + num_samples) / info.sample_rate:.6f}"}
        graph = float_graph(path, sample_rate=info.sample_rate, options=end)
        yield from decode_with_ffmpeg(
            path, graph, info.num_channels, skip=start + done, done=done, block_samples=block_samples
        )


def float_graph(
    path: Path, *, sample_rate: int, options: dict[str, Any], stream: int = 0, seek: dict[str, str] | None = None
) -> Any:
    """What has ffmpeg send a stream's samples down a pipe; ``options`` are the output's, ``seek`` the input's."""
    return ffmpeg.input(file_url(path), **(seek or {}))[f"a:{stream}"].output(
        "pipe:", format="f32le", acodec="pcm_f32le", ar=sample_rate, **options
    )


def decode_with_ffmpeg(
    path: Path, graph: Any, channels: int, *, skip: int, block_samples: int, done: int = 0
) -> Blocks:
    """Decode with ffmpeg; closing the generator ends it.

    Args:
        path: The file, for messages.
        graph: See `float_graph`.
        channels: How many it sends.
        skip: Samples to drop at the start.
        block_samples: Length of a block.
        done: How many of those dropped the caller has had; then it is no error if there are no more.

    Yields:
        float32 ``(block_samples, channels)``, the last one shorter.

    Raises:
        AudioDecodeError: if ffmpeg fails or finds no sample.
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
            logger.warning("%s: is damaged, ffmpeg read what it could; its last message: %s", path, complaint)


def _no_audio(path: Path, *, after: int) -> AudioDecodeError:
    return AudioDecodeError(f"holds no audio{' after the offset' if after else ''}", path=path)


def not_readable(path: Path, problem: str, failure: FfmpegFailed) -> AudioDecodeError:
    """The error of a file at which ffmpeg failed: what that means, and what ffmpeg says."""
    hint = "" if failure.errno is None else f"{fix_for(failure, reading=True)}."
    return AudioDecodeError(f"{problem}: {failure.problem}", path=path, hint=hint, errno=failure.errno)
