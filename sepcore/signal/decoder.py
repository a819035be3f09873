"""A file's samples in blocks as they are decoded: by libsndfile where that is the same and faster, else by ffmpeg."""

import logging
from collections.abc import Generator
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from sepcore.errors import AudioDecodeError
from sepcore.signal.ffmpeg import FfmpegFailed, FfmpegProcess, file_url
from sepcore.signal.sndfile import SndfileInfo, read_sndfile
from sepcore.system.os_errors import fix_for

logger = logging.getLogger(__name__)

Blocks = Generator[NDArray[np.float32], None, None]


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
