"""A config small enough for tests in milliseconds, and songs of noise for it."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.manifest import TrackRow

WriteSong = Callable[..., TrackRow]


@pytest.fixture(scope="session")
def config() -> ModelConfig:
    return ModelConfig(
        instruments=("vocals", "drums"),
        sample_rate=8000,
        frame_length=512,
        hop_length=128,
        segment_frames=64,
        num_bins=128,
        chunk_duration_s=1.5,
        chunks_per_song=3,
        batch_size=2,
        random_seed=7,
    )


def write_noise_song(
    folder: Path, config: ModelConfig, name: str, *, duration_s: float = 4.0, num_channels: int = 2
) -> TrackRow:
    """Write one song of noise, seeded by its name, and give its row."""
    rng = np.random.default_rng([*name.encode()])
    (folder / name).mkdir(parents=True, exist_ok=True)
    samples = round(duration_s * config.sample_rate)
    stems = rng.integers(-3000, 3000, (len(config.instruments), samples, num_channels)).astype(np.int16)
    paths = tuple((instrument, folder / name / f"{instrument}.wav") for instrument in config.instruments)
    for (_, path), stem in zip(paths, stems, strict=True):
        scipy.io.wavfile.write(path, config.sample_rate, stem)
    scipy.io.wavfile.write(folder / name / "mix.wav", config.sample_rate, stems.sum(axis=0, dtype=np.int16))
    return TrackRow(name, folder / name / "mix.wav", paths, duration_s)


def index_of(num_chunks: Sequence[int], *, num_frames: Sequence[int] | None = None) -> ChunkIndex:
    """An index of songs of so many chunks, of 90 frames each, that nobody has cached; good for drawing from."""
    total = sum(num_chunks)
    return ChunkIndex(
        path=Path("nowhere/index.parquet"),
        folder=Path("nowhere"),
        shards=tuple(f"{song}.tfrecord" for song in range(len(num_chunks))),
        shard=np.repeat(np.arange(len(num_chunks), dtype=np.int32), num_chunks),
        chunk=np.zeros(total, np.int32),
        offset=np.zeros(total, np.int64),
        num_bytes=np.zeros(total, np.int64),
        checksum=np.zeros(total, np.uint32),
        length=np.full(total, 90, np.int32) if num_frames is None else np.array(num_frames, np.int32),
        cache_content="spectrogram",
        cache_format="tfrecord",
        cache_dtype="uint8",
        num_songs=len(num_chunks),
        content="0" * 16,
    )


@pytest.fixture
def write_song(tmp_path: Path, config: ModelConfig) -> WriteSong:
    return partial(write_noise_song, tmp_path / "songs", config)
