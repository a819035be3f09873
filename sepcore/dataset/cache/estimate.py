"""Estimates of what caching takes: songs, chunks, bytes and minutes."""

import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.chunks import Chunk, Signal, song_chunks
from sepcore.dataset.cache.pcm import SAMPLE_BYTES, PcmSignal
from sepcore.dataset.cache.plan import ShardPlan, chunk_lengths
from sepcore.dataset.cache.tfrecord import FRAMING_BYTES, serialize
from sepcore.dataset.check.findings import common_samples
from sepcore.signal.audio_reader import read_waveform

# Compressed size over the size of the codes, measured on the songs of SynthMUS.
_ZSTD_RATIO = {"uint8": 0.87, "float16": 0.88}


@dataclass(frozen=True)
class CacheEstimate:
    """What caching would take; the size of Parquet shards depends on the music, and is an average."""

    num_songs: int
    num_chunks: int
    num_bytes: int
    minutes: float


def estimate_cache(plans: Sequence[ShardPlan], config: ModelConfig, *, num_workers: int) -> CacheEstimate:
    """Estimate the caching of songs without shards, by computing one chunk, which takes about a second.

    Raises:
        AudioDecodeError: the first song cannot be decoded.
    """

    @cache
    def record_bytes(length: int) -> int:
        num_signals = 1 + len(config.instruments)
        if config.cache_dtype == "int16" or config.cache_dtype == "int24":
            pcm = bytes(length * config.num_channels * SAMPLE_BYTES[config.cache_dtype])
            chunk = Chunk(
                0, 0.0, (PcmSignal(pcm, (length, config.num_channels), config.cache_dtype, 1.0),) * num_signals
            )
        else:
            codes = np.zeros((length, config.num_bins, config.num_channels), config.cache_dtype)
            chunk = Chunk(0, 0.0, (Signal(codes, 0.0, 0.0),) * num_signals)
        return len(serialize(chunk, config.instruments)) + FRAMING_BYTES

    lengths = [length for plan in plans for length in chunk_lengths(plan, config)]
    num_bytes = sum(map(record_bytes, lengths))
    if config.cache_format == "parquet":
        num_bytes = round(num_bytes * _ZSTD_RATIO.get(config.cache_dtype, 1.0))  # PCM is not compressed
    return CacheEstimate(len(plans), len(lengths), num_bytes, _seconds(plans, len(lengths), config) / num_workers / 60)


def _seconds(plans: Sequence[ShardPlan], num_chunks: int, config: ModelConfig) -> float:
    """The time that one worker needs, at the speed of the first chunk."""
    if not num_chunks:
        return 0.0
    example = replace(next(plan for plan in plans if chunk_lengths(plan, config)), starts=(0,))

    def read() -> None:
        for file in example.files:
            read_waveform(
                Path(file.path),
                sample_rate=config.sample_rate,
                num_channels=config.num_channels,
                duration_s=config.chunk_duration_s,
            )

    reading_s = _fastest_s(read)
    computing_s = max(_fastest_s(lambda: list(song_chunks(example, config))) - reading_s, 0.0)
    read_samples = sum(
        min(plan.starts[-1] + config.chunk_samples, common_samples(plan.files, config)) for plan in plans
    )
    example_samples = min(config.chunk_samples, common_samples(example.files, config))
    return reading_s * read_samples / example_samples + computing_s * num_chunks


def _fastest_s(work: Callable[[], object]) -> float:
    """Seconds of the faster of two runs: the first one loads libraries."""
    return min(timeit.repeat(work, number=1, repeat=2))
