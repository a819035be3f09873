"""Audio in: any file that ffmpeg reads, as float32 blocks at the sample rate and channel count that a model takes."""

import json
import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sepcore.errors import AudioDecodeError
from sepcore.signal.channels import to_channels
from sepcore.signal.decoder import Blocks, decode_directly, decode_with_ffmpeg, float_graph, not_readable, probe_sndfile
from sepcore.signal.ffmpeg import FfmpegFailed, file_url, run_ffprobe

logger = logging.getLogger(__name__)

# Decoding starts this long before the offset, and the extra samples are dropped: the first 2000 after a seek are wrong
# in mp3 (its frames borrow bits from earlier ones), and the resampler needs a few dozen to settle.
_RUN_UP_S = 1.0

# ffmpeg lets a downmix to float exceed full scale. With this the gains add up to at most 1, as for 16-bit files.
_DOWNMIX = "aresample=rematrix_maxval=1,aformat=channel_layouts=stereo"


@dataclass(frozen=True)
class AudioInfo:
    """What a file says about one of its audio streams."""

    sample_rate: int
    num_channels: int
    duration_s: float | None
    """As stated in the file, not measured; None if it is not stated."""
    num_streams: int
    codec: str
    """ffmpeg's name, e.g. ``mp3``."""


def probe_audio(path: Path, *, stream: int = 0) -> AudioInfo:
    """Read what a file says about its audio stream number ``stream``, counted from 0.

    Raises:
        AudioDecodeError: if the file is missing, empty, not media, or has no such audio stream.
        FfmpegMissing: if there is no ffprobe.
    """
    if not path.exists():
        raise AudioDecodeError("there is no such file", path=path)
    if path.is_dir():
        raise AudioDecodeError("is a folder", path=path, hint="Give a file with audio.")
    if path.stat().st_size == 0:
        raise AudioDecodeError("the file is empty (0 bytes)", path=path)
    try:
        found = json.loads(
            run_ffprobe("-of", "json", "-show_format", "-show_streams", "-select_streams", "a", file_url(path))
        )
    except FfmpegFailed as failure:
        raise not_readable(path, "is not audio or video that ffmpeg can read", failure) from failure
    streams = found["streams"]
    if not streams:
        raise AudioDecodeError("has no audio stream", path=path)
    if stream >= len(streams):
        raise AudioDecodeError(
            f"has no audio stream {stream}", path=path, hint=f"It has {len(streams)}, counted from 0."
        )
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
        raise AudioDecodeError(f"its audio stream ({info.codec}) is not one that ffmpeg can decode", path=path)
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
) -> Blocks:
    """Decode a file in blocks, in memory that does not depend on its length.

    Mono is copied to each channel at its own level. More than two channels are downmixed by ffmpeg's matrix for their
    layout, scaled so that it cannot exceed full scale; this is logged. For one channel the two are averaged.

    Intact wav, w64, rf64, aiff and flac files that need no resampling or downmixing are read by libsndfile, which gives
    the same samples as ffmpeg.

    Args:
        path: Anything that ffmpeg reads, including video.
        sample_rate: Of the blocks, in Hz.
        num_channels: Of the blocks.
        offset_s: Where to start, >= 0; exact to the sample in wav, flac, mp3, ogg and m4a.
        duration_s: How much to read at most, > 0; None: to the end.
        stream: Which audio stream of the file, from 0.
        block_samples: Length of a block.

    Returns:
        A generator of float32 ``(block_samples, num_channels)``, the last one shorter; at least one. Full scale is
        [-1, 1], which float files can exceed. Closing it early ends ffmpeg.

    Raises:
        AudioDecodeError: at once if the file is missing or not audio (see `probe_audio`) or cannot be brought to
            ``num_channels``; while reading if ffmpeg fails, or there is no sample, or one is NaN or infinite.
        FfmpegMissing: the file needs ffmpeg, and there is none.
        ValueError: ``offset_s`` or ``duration_s`` is out of range.
    """
    if offset_s < 0:
        raise ValueError(f"offset_s is {offset_s}; expected >= 0 seconds")
    if duration_s is not None and duration_s <= 0:
        raise ValueError(f"duration_s is {duration_s}; expected > 0 seconds, or None for the whole file")
    direct = None if stream else probe_sndfile(path)
    channels = direct.num_channels if direct else probe_audio(path, stream=stream).num_channels
    downmix = channels > 2 and channels != num_channels
    decoded_channels = 2 if downmix else channels
    if num_channels > 2 and decoded_channels not in (1, num_channels):
        raise AudioDecodeError(
            f"has {channels} channels, {num_channels} are wanted",
            path=path,
            hint=f"Give a file with {num_channels} channels, or a mono file.",
        )
    if downmix:
        logger.info("%s: %d channels downmixed to stereo", path, channels)
    run_up_s = min(offset_s, _RUN_UP_S)
    run_up = round(run_up_s * sample_rate)
    if direct and direct.sample_rate == sample_rate and not downmix:
        start = round(offset_s * sample_rate)
        # Rounded as ffmpeg does, which gets the length of run-up and excerpt together.
        length = None if duration_s is None else round((run_up_s + duration_s) * sample_rate) - run_up
        blocks = decode_directly(path, direct, start=start, num_samples=length, block_samples=block_samples)
    else:
        seek = {"ss": f"{offset_s - run_up_s:.6f}"} if offset_s > run_up_s else {}
        options: dict[str, Any] = {} if duration_s is None else {"t": f"{run_up_s + duration_s:.6f}"}
        options |= {"af": _DOWNMIX} if downmix else {"ac": decoded_channels}
        graph = float_graph(path, sample_rate=sample_rate, options=options, stream=stream, seek=seek)
        blocks = decode_with_ffmpeg(path, graph, decoded_channels, skip=run_up, block_samples=block_samples)
    return _finite(path, blocks, num_channels)


def read_waveform(
    path: Path, *, sample_rate: int, num_channels: int, offset_s: float = 0.0, duration_s: float | None = None
) -> NDArray[np.float32]:
    """Decode a file whole: float32 ``(samples, num_channels)``; arguments and errors as in `read_blocks`."""
    blocks = read_blocks(
        path, sample_rate=sample_rate, num_channels=num_channels, offset_s=offset_s, duration_s=duration_s
    )
    return np.concatenate(list(blocks))


@dataclass(frozen=True)
class NativeAudio:
    """A file's samples at its own sample rate and in its own channels."""

    sample_rate: int
    num_channels: int
    blocks: Blocks
    """As from `read_blocks`, but NaN and infinite samples are let through."""


def open_native(path: Path, *, stream: int = 0, block_samples: int = 441_000) -> NativeAudio:
    """Open a file to read its samples unchanged; arguments and errors as in `read_blocks`.

    Nothing runs and no file is open until the first block is taken.
    """
    if not stream and (direct := probe_sndfile(path)):
        blocks = decode_directly(path, direct, start=0, num_samples=None, block_samples=block_samples)
        return NativeAudio(direct.sample_rate, direct.num_channels, blocks)
    info = probe_audio(path, stream=stream)
    # The number of channels is not asked for: ffmpeg would mix a layout that is not its usual one for that number.
    graph = float_graph(path, sample_rate=info.sample_rate, options={}, stream=stream)
    blocks = decode_with_ffmpeg(path, graph, info.num_channels, skip=0, block_samples=block_samples)
    return NativeAudio(info.sample_rate, info.num_channels, blocks)


def _finite(path: Path, blocks: Blocks, num_channels: int) -> Blocks:
    with closing(blocks):
        for block in blocks:
            if not np.isfinite(block).all():
                raise AudioDecodeError(
                    "has samples that are NaN or infinite", path=path, hint="Export it again without them."
                )
            # Not left to ffmpeg, which makes doubled mono 3 dB quieter and averaged stereo 3 dB louder.
            yield to_channels(block, num_channels)
