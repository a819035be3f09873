"""A config small enough for tests in milliseconds, songs of noise for it, and their caches."""

import functools
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.index import ChunkIndex
from sepcore.dataset.cache.pcm_index import ListsOfSignals, PcmIndex
from sepcore.dataset.manifest import TrackRow
from tests.dataset.cache.conftest import shard_of

WriteSong = Callable[..., TrackRow]
CacheOf = Callable[[str, str], tuple[ModelConfig, Path]]


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


@pytest.fixture(scope="session")
def rows(config: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> list[TrackRow]:
    """Songs a and b."""
    return [write_noise_song(tmp_path_factory.mktemp("songs"), config, name) for name in ("a", "b")]


@pytest.fixture(scope="session")
def cache(config: ModelConfig, rows: list[TrackRow], tmp_path_factory: pytest.TempPathFactory) -> CacheOf:
    """Caches the songs with the config of a format and dtype; five chunks, three of song a, two of song b."""

    @functools.cache
    def cached(cache_format: str, cache_dtype: str) -> tuple[ModelConfig, Path]:
        folder = tmp_path_factory.mktemp("cache")
        content = "waveform" if cache_dtype.startswith("int") else "spectrogram"
        keys = {"cache_format": cache_format, "cache_dtype": cache_dtype, "cache_content": content}
        of_form = config.model_copy(update=keys)
        shards = [
            (row.name, shard_of(row, of_form, folder, num_chunks=count))
            for row, count in zip(rows, (3, 2), strict=True)
        ]
        build_index(folder, shards, of_form)
        return of_form, folder

    return cached


def index_of(
    num_chunks: Sequence[int],
    *,
    length: Sequence[int] | None = None,
    levels_db: Sequence[Sequence[Sequence[float]]] | None = None,
    start_s: Sequence[float] | None = None,
) -> ChunkIndex:
    """An index of songs of so many chunks that nobody has cached; good for drawing from.

    The chunks are of so many frames each (default: 90); or of waveforms, if there are levels of each chunk's signals.
    """
    total = sum(num_chunks)
    pcm = None
    if levels_db is not None:
        values, counts = [np.array(chunk, np.float32).ravel() for chunk in levels_db], np.zeros((total, 0))
        levels = ListsOfSignals(np.concatenate(values), np.array([len(chunk) for chunk in values]), len(levels_db[0]))
        nothing = ListsOfSignals(np.empty(0, np.uint32), np.zeros(total, np.int64), 1)
        pcm = PcmIndex(
            scale=counts.astype(np.float32),
            sample_bytes=counts.astype(np.uint8),
            pcm_offset=counts.astype(np.int64),
            residual_db=np.zeros(total, np.float32),
            block_checksums=nothing,
            levels_db=levels,
        )
    return ChunkIndex(
        path=Path("nowhere/index.parquet"),
        folder=Path("nowhere"),
        shards=tuple(f"{song}.tfrecord" for song in range(len(num_chunks))),
        shard=np.repeat(np.arange(len(num_chunks), dtype=np.int32), num_chunks),
        chunk=np.zeros(total, np.int32),
        offset=np.zeros(total, np.int64),
        num_bytes=np.zeros(total, np.int64),
        checksum=np.zeros(total, np.uint32),
        length=np.full(total, 90, np.int32) if length is None else np.array(length, np.int32),
        cache_content="spectrogram" if pcm is None else "waveform",
        cache_format="tfrecord",
        cache_dtype="uint8" if pcm is None else "int16",
        num_songs=len(num_chunks),
        content="0" * 16,
        pcm=pcm,
        start_s=None if start_s is None else np.array(start_s),
    )


@pytest.fixture
def write_song(tmp_path: Path, config: ModelConfig) -> WriteSong:
    return partial(write_noise_song, tmp_path / "songs", config)
