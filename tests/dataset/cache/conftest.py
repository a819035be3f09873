"""Plans and shards of the songs of noise."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sepcore.config.choices import NumChunks
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.plan import ShardPlan, plan_shard
from sepcore.dataset.cache.shards import Shard, write_shard
from sepcore.dataset.check.measure import measure_song
from sepcore.dataset.manifest import TrackRow

PlanSong = Callable[..., ShardPlan]
CacheSong = Callable[..., Shard]


def plan_of(row: TrackRow, config: ModelConfig, *, num_chunks: NumChunks) -> ShardPlan:
    """The plan of a song as a run would make it: checked first."""
    return plan_shard(row, measure_song(row, mix_name=config.mix_name), config, num_chunks=num_chunks)


def shard_of(row: TrackRow, config: ModelConfig, folder: Path, *, num_chunks: NumChunks) -> Shard:
    """Check, plan and cache a song."""
    return write_shard(plan_of(row, config, num_chunks=num_chunks), config, folder)


@pytest.fixture(params=["tfrecord", "parquet"])
def each_format(request: pytest.FixtureRequest, config: ModelConfig) -> ModelConfig:
    """The config with each format of shards."""
    return config.model_copy(update={"cache_format": request.param})


def in_dtype(config: ModelConfig, dtype: str) -> ModelConfig:
    """The config with a way of storing magnitudes or waveforms."""
    content = "waveform" if dtype.startswith("int") else "spectrogram"
    return config.model_copy(update={"cache_content": content, "cache_dtype": dtype})


@pytest.fixture(params=["uint8", "float16", "int16", "int24"])
def each_dtype(request: pytest.FixtureRequest, each_format: ModelConfig) -> ModelConfig:
    """The config with each format of shards and each way of storing magnitudes and waveforms."""
    return in_dtype(each_format, request.param)


@pytest.fixture(params=["uint8", "int16"])
def each_content(request: pytest.FixtureRequest, each_format: ModelConfig) -> ModelConfig:
    """The config with each format of shards and each content."""
    return in_dtype(each_format, request.param)
