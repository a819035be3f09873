"""Shard plans: which recordings and chunks of a song to cache, and the fingerprints that tell if that has been done."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sepcore.config.choices import NumChunks
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.findings import common_samples
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.check.report import CheckReport
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError

_MARGIN_S = 0.5
# Protocol buffers, and so a TFRecord's examples, end at 2^31 bytes.
_MOST_CHUNK_BYTES = 2_100_000_000
_LARGEST_SAMPLE_BYTES = 3  # a signal beyond full scale has 24 bits in any cache
# Raised when chunks are computed or stored in another way, so that older caches are made anew.
_FORMAT_VERSION = 2


@dataclass(frozen=True)
class ShardPlan:
    """One shard to be written."""

    song: str  # its name in the manifest
    files: SongMeasures  # its recordings as they were checked: the mixture, then the stems in the order of the config
    starts: tuple[int, ...]  # first sample of each chunk at the config's rate, ascending
    # Sixteen hex digits of the recordings' content, the starts and the settings, not of names, places and dates.
    fingerprint: str
    content: str  # the fingerprint of what the chunks decode to: the same for every ``cache_format``


def shard_plans(report: CheckReport, config: ModelConfig, *, num_chunks: NumChunks) -> list[ShardPlan]:
    """`plan_shard` of every usable song of a checked manifest."""
    return [plan_shard(song.row, song.files, config, num_chunks=num_chunks) for song in report.usable]


def plan_shard(row: TrackRow, files: SongMeasures, config: ModelConfig, *, num_chunks: NumChunks) -> ShardPlan:
    """Place the chunks of one song that was checked: a number of them (`chunk_starts`), or all (`covering_starts`).

    If a file is shorter than the row says, the chunks are placed by the shortest file.

    Raises:
        DatasetError: a file cannot be decoded, its number of channels is not the config's, or a chunk would be larger
            than 2.1 GB.
    """
    for file in files:
        if file.error is not None:
            hint = "Fix the file, or take the row out of the CSV."
            raise DatasetError(f"{file.error} ({file.signal} of {row.name!r})", path=Path(file.path), hint=hint)
        if file.num_channels != config.num_channels:
            raise DatasetError(
                f"{file.signal} of {row.name!r} has {file.num_channels} channel(s), n_channels is "
                f"{config.num_channels}",
                path=Path(file.path),
                hint="Training takes only songs with n_channels channels: convert the song, or take its row out.",
            )
    num_samples = common_samples(files, config)
    if num_chunks == "all":
        starts = covering_starts(num_samples, config.chunk_samples)
    else:
        duration_s = min(row.duration_s, num_samples / config.sample_rate)
        starts_s = chunk_starts(duration_s, chunk_duration_s=config.chunk_duration_s, num_chunks=num_chunks)
        # In a song hardly longer than a chunk Spleeter's starts go backwards; decoding goes forwards.
        starts = tuple(sorted(round(start_s * config.sample_rate) for start_s in starts_s))
    _check_chunk_size(row.name, min(num_samples, config.chunk_samples), config)
    # The default format stands for all, so that runs and releases keep the fingerprints that they have.
    default_form = config.model_copy(update={"cache_format": "tfrecord"})
    fingerprint, content = (_shard_fingerprint(files, starts, form) for form in (config, default_form))
    return ShardPlan(row.name, files, starts, fingerprint, content)


def _check_chunk_size(song: str, num_samples: int, config: ModelConfig) -> None:
    """Refuse chunks that a record of TFRecord, or a value of Parquet, cannot hold."""
    per_sample: float = _LARGEST_SAMPLE_BYTES
    if config.cache_content == "spectrogram":
        per_sample = config.num_bins * np.dtype(config.cache_dtype).itemsize / config.hop_length
    per_second = per_sample * config.num_channels * (1 + len(config.instruments)) * config.sample_rate
    if num_samples / config.sample_rate * per_second > _MOST_CHUNK_BYTES:
        raise DatasetError(
            f"a chunk of {song!r} would have {num_samples / config.sample_rate * per_second / 1e9:.1f} GB, and "
            f"{_MOST_CHUNK_BYTES / 1e9:.1f} GB are the most",
            hint=f"Set chunk_duration to {int(_MOST_CHUNK_BYTES / per_second)} s or less.",
        )


def chunk_starts(duration_s: float, *, chunk_duration_s: float, num_chunks: int) -> list[float]:
    """Where Spleeter starts the chunks of a song, in seconds.

    Spread evenly, half a second away from the song's ends; a single one is in the middle. None starts before 0, even
    in a song that is shorter than a chunk.
    """
    if num_chunks == 1:
        return [max((duration_s - chunk_duration_s) / 2, 0.0)]
    step_s = (duration_s - chunk_duration_s - 2 * _MARGIN_S) / (num_chunks - 1)
    return [max(_MARGIN_S + number * step_s, 0.0) for number in range(num_chunks)]


def covering_starts(num_samples: int, chunk_samples: int) -> tuple[int, ...]:
    """Where the chunks start, in samples, that cover a song without gaps.

    They lie end to end; the last one ends with the song and is as long as the others, so it overlaps the one before it.
    A shorter one would be drawn as often as the others, so the song's end would be trained on too much, and one that is
    too short for a segment would be lost; the places would depend on ``T``. A song shorter than a chunk is one chunk.
    """
    last = max(num_samples - chunk_samples, 0)
    return (*range(0, last, chunk_samples), last)


def chunk_lengths(plan: ShardPlan, config: ModelConfig) -> list[int]:
    """STFT frames, or samples of waveforms, of each chunk that will be cached."""
    end = common_samples(plan.files, config)
    lengths = (min(config.chunk_samples, end - start) for start in plan.starts)
    stored = [length for length in lengths if length >= fewest_samples(config)]
    if config.cache_content == "waveform":
        return stored
    return [1 + (length - config.frame_length) // config.hop_length for length in stored]


def fewest_samples(config: ModelConfig) -> int:
    """Samples of the shortest chunk that is stored."""
    return 1 if config.cache_content == "waveform" else config.frame_length


def least_length(config: ModelConfig) -> int:
    """STFT frames, or samples of waveforms, of the shortest chunk that an index lists: those of a segment."""
    return config.segment_samples if config.cache_content == "waveform" else config.segment_frames


def planned_fingerprints(plans: Iterable[ShardPlan], config: ModelConfig) -> set[str]:
    """What `ChunkIndex.fingerprint` of these songs can be, once they are cached.

    An index of Parquet shards from an earlier version has one of the shards' own fingerprints.
    """
    songs = [
        (plan, sum(length >= least_length(config) for length in chunk_lengths(plan, config)))
        for plan in sorted(plans, key=lambda plan: plan.song)
    ]
    return {
        content_fingerprint((plan.content, listed) for plan, listed in songs),
        content_fingerprint((plan.fingerprint, listed) for plan, listed in songs),
    }


def _shard_fingerprint(files: SongMeasures, starts: tuple[int, ...], config: ModelConfig) -> str:
    recordings = [file.sha256 for file in files]
    made_from = {"settings": _shard_settings(config), "recordings": recordings, "starts": starts}
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]


def _shard_settings(config: ModelConfig) -> dict[str, Any]:
    # Under the keys of the config's JSON. ``T`` is not among them: every chunk is stored, however short.
    settings = {
        "format": _FORMAT_VERSION,
        "cache_format": config.cache_format,
        "cache_dtype": config.cache_dtype,
        "instrument_list": list(config.instruments),
        "sample_rate": config.sample_rate,
        "n_channels": config.num_channels,
        "chunk_duration": config.chunk_duration_s,
    }
    # Waveforms serve every STFT. Spectrograms have no ``cache_content``: they are older than this key.
    if config.cache_content == "waveform":
        return {"cache_content": "waveform", **settings}
    return {**settings, **_stft_settings(config), "F": config.num_bins}


def _stft_settings(config: ModelConfig) -> dict[str, Any]:
    return {"frame_length": config.frame_length, "frame_step": config.hop_length}


def index_settings(config: ModelConfig) -> dict[str, Any]:
    """What an index depends on beside the audio: the shards' settings, and a segment's, which decide what it lists."""
    return {**_shard_settings(config), **_stft_settings(config), "T": config.segment_frames}


def content_fingerprint(songs: Iterable[tuple[str, int]]) -> str:
    """Sixteen hex digits of what all listed chunks decode to.

    Args:
        songs: In the order of the index: `ShardPlan.content` and how many of its chunks are listed.
    """
    digest = hashlib.sha256()
    for fingerprint, num_chunks in songs:
        digest.update(f"{fingerprint}:{num_chunks} ".encode())
    return digest.hexdigest()[:16]
