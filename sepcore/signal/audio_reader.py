"""Audio in: any file that ffmpeg reads, as float32 blocks at the rate and in the channels that a model takes."""

import json
import logging
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from sepcore.errors import AudioDecodeError
from sepcore.signal.channels import to_channels
from sepcore.signal.ffmpeg import FfmpegProcess, file_url, last_meaningful_line, run_ffprobe

logger = logging.getLogger(__name__)

# Decoding starts this long before the offset, and what comes before it is dropped: the first 2000 samples after a seek
# are wrong in mp3 (its frames borrow bits from those before), and the resampler needs a few dozen to settle.
_RUN_UP_S = 1.0

# ffmpeg lets a downmix to float grow beyond full scale. With this it weighs the channels so that they add up to at
# most 1, as it does for every 16-bit file.
_DOWNMIX = "aresample=rematrix_maxval=1,aformat=channel_layouts=stereo"


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about one of its audio streams.

    Attributes:
        sample_rate: In Hz.
        num_channels: Channels of the stream.
        duration_s: In seconds, as the file states it (not measured); None if it does not.
        num_streams: Audio streams in the file.
        codec: ffmpeg's name of the codec, e.g. ``mp3``.
    """

    sample_rate: int
    num_channels: int
    duration_s: float | None
    num_streams: int
    codec: str


def probe_audio(path: Path, *, stream: int = 0) -> AudioInfo:
    """Read what a file says about its audio stream number ``stream``, counted from 0.

    Raises:
        AudioDecodeError: if the file is missing, empty, not media, or has no such audio stream.
        FfmpegMissing: if there is no ffprobe.
    """
    if not path.exists():
        raise AudioDecodeError(f"{path}: there is no such file")
    if path.is_dir():
        raise AudioDecodeError(f"{path}: is a folder; give a file with audio")
    if path.stat().st_size == 0:
        raise AudioDecodeError(f"{path}: the file is empty (0 bytes)")
    probe = run_ffprobe("-of", "json", "-show_format", "-show_streams", "-select_streams", "a", file_url(path))
    if probe.returncode:
        reason = last_meaningful_line(probe.stderr) or "it gave no reason"
        raise AudioDecodeError(
            f"{path}: is not audio or video that ffmpeg can read: {reason} (ffprobe exit code {probe.returncode})"
        )
    found = json.loads(probe.stdout)
    streams = found["streams"]
    if not streams:
        raise AudioDecodeError(f"{path}: has no audio stream")
    if stream >= len(streams):
        raise AudioDecodeError(f"{path}: has no audio stream {stream}; it has {len(streams)}, counted from 0")
    chosen = streams[stream]
    # Formats such as mkv and wma know only the duration of the whole file.
    duration = chosen.get("duration") or found["format"].get("duration")
    info = AudioInfo(
        sample_rate=int(chosen.get("sample_rate", 0)),
        num_channels=int(chosen.get("channels", 0)),
        duration_s=None if duration is None else float(duration),
        num_streams=len(streams),
        codec=chosen.get("codec_name", "unknown"),
    )
    if not info.num_channels:
        raise AudioDecodeError(f"{path}: its audio stream ({info.codec}) is not one that ffmpeg can decode")
    return info


def read_blocks(
    path: Path,
    *,
    sample_rate: int,
    num_channels: int,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    stream: int = 0,
    block_samples: int = 441_000,
) -> Generator[NDArray[np.float32], None, None]:
    """Decode a file in blocks, in memory that does not depend on its length.

    A mono file gives each channel at its own level. One with more channels than two is downmixed by ffmpeg's matrix for
    its layout, scaled so that it cannot exceed full scale, which is logged. For one channel the two are averaged.

    Args:
        path: Anything that ffmpeg reads, video too.
        sample_rate: Wanted, in Hz.
        num_channels: Wanted.
        offset_s: Where to start, in seconds, >= 0; found by seeking: exact to the sample in wav, flac, mp3,
            ogg and m4a.
        duration_s: How much to read at most, in seconds, > 0; None: to the end.
        stream: Which audio stream of the file, from 0.
        block_samples: Length of a block.

    Returns:
        A generator of float32 ``(block_samples, num_channels)``, the last one shorter; at least one. Full scale is
        [-1, 1], which float files can exceed. Closing it early ends ffmpeg.

    Raises:
        AudioDecodeError: at once if the file is missing or not audio (see `probe_audio`) or cannot be brought to
            ``num_channels``; while reading if ffmpeg fails, finds no sample or finds one that is NaN or infinite.
        FfmpegMissing: if there is no ffmpeg.
        ValueError: if ``offset_s`` or ``duration_s`` is out of range.
    """
    if offset_s < 0:
        raise ValueError(f"offset_s is {offset_s}; expected >= 0 seconds")
    if duration_s is not None and duration_s <= 0:
        raise ValueError(f"duration_s is {duration_s}; expected > 0 seconds, or None for the whole file")
    channels = probe_audio(path, stream=stream).num_channels
    downmix = channels > 2 and channels != num_channels
    decoded_channels = 2 if downmix else channels
    if num_channels > 2 and decoded_channels not in (1, num_channels):
        raise AudioDecodeError(
            f"{path}: has {channels} channels, {num_channels} are wanted; only 1 or {num_channels} can be given"
        )
    if downmix:
        logger.info("%s: %d channels downmixed to stereo", path, channels)
    run_up_s = min(offset_s, _RUN_UP_S)
    seek = {"ss": f"{offset_s - run_up_s:.6f}"} if offset_s > run_up_s else {}
    length = {} if duration_s is None else {"t": f"{run_up_s + duration_s:.6f}"}
    layout = {"af": _DOWNMIX} if downmix else {"ac": decoded_channels}
    graph = ffmpeg.input(file_url(path), **seek)[f"a:{stream}"].output(
        "pipe:", format="f32le", acodec="pcm_f32le", ar=sample_rate, **layout, **length
    )
    return _decode(
        path,
        graph,
        decoded_channels,
        num_channels,
        skip=round(run_up_s * sample_rate),
        block_samples=block_samples,
    )


def read_waveform(
    path: Path,
    *,
    sample_rate: int,
    num_channels: int,
    offset_s: float = 0.0,
    duration_s: float | None = None,
    stream: int = 0,
) -> NDArray[np.float32]:
    """Decode a file whole: float32 ``(samples, num_channels)``; arguments and errors as in `read_blocks`."""
    blocks = read_blocks(
        path,
        sample_rate=sample_rate,
        num_channels=num_channels,
        offset_s=offset_s,
        duration_s=duration_s,
        stream=stream,
    )
    return np.concatenate(list(blocks))


def _decode(
    path: Path, graph: Any, channels: int, num_channels: int, *, skip: int, block_samples: int
) -> Generator[NDArray[np.float32], None, None]:
    """Blocks of what ``graph`` sends in ``channels``, without the first ``skip`` samples, in ``num_channels``."""
    total = 0
    with FfmpegProcess(graph, feed=False) as process:
        process.pipe.read(skip * channels * np.dtype(np.float32).itemsize)
        while True:
            block = np.empty((block_samples, channels), "<f4")
            num_bytes = process.pipe.readinto(block.data.cast("B"))  # type: ignore[attr-defined]
            block = block[: num_bytes // (channels * block.itemsize)]
            if not len(block):
                break
            if not np.isfinite(block).all():
                raise AudioDecodeError(f"{path}: has samples that are NaN or infinite; export it again without them")
            total += len(block)
            # Not left to ffmpeg, which makes doubled mono 3 dB quieter and averaged stereo 3 dB louder.
            yield to_channels(block, num_channels)
        if failure := process.failure():
            raise AudioDecodeError(f"{path}: cannot be decoded: {failure}")
        if not total:
            raise AudioDecodeError(f"{path}: holds no audio{' after the offset' if skip else ''}")
        if complaint := process.last_line():
            logger.warning("%s: is damaged, ffmpeg read what it could; its last message: %s", path, complaint)
