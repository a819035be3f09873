import dataclasses

import pytest

from sepcore.dataset.cache.estimate import estimate_cache
from sepcore.dataset.cache.shards import write_shard
from tests.dataset.cache.conftest import in_dtype, plan_of


@pytest.fixture
def plans(config, write_song):
    """Songs of whole chunks, of a cut stem, and without a chunk."""
    whole, cut, jingle = write_song("whole"), write_song("cut", duration_s=2.5), write_song("jingle", duration_s=0.05)
    rows = [whole, dataclasses.replace(cut, stems=whole.stems), jingle]
    return [plan_of(row, config, num_chunks=3) for row in rows]


@pytest.mark.parametrize("dtype", ["uint8", "float16", "int16", "int24"])
def test_chunks_and_bytes_of_tfrecord_shards_are_known_exactly(config, plans, tmp_path, dtype):
    config = in_dtype(config, dtype)
    estimate = estimate_cache(plans, config, num_workers=1)
    shards = [write_shard(plan, config, tmp_path) for plan in plans]
    assert (estimate.num_songs, estimate.num_chunks) == (3, sum(shard.num_chunks for shard in shards))
    assert estimate.num_bytes == sum(shard.size for shard in shards)


def test_parquet_shards_of_waveforms_are_about_as_large(config, plans, tmp_path):
    config = in_dtype(config, "int16").model_copy(update={"cache_format": "parquet"})
    estimate = estimate_cache(plans[:2], config, num_workers=1)
    assert estimate.num_bytes == pytest.approx(sum(write_shard(plan, config, tmp_path).size for plan in plans), rel=0.1)


def test_parquet_shards_are_estimated_smaller(config, plans):
    parquet = config.model_copy(update={"cache_format": "parquet"})
    smaller = estimate_cache(plans, parquet, num_workers=1).num_bytes
    assert smaller < estimate_cache(plans, config, num_workers=1).num_bytes < 2 * smaller


def test_time_is_shared_by_workers_and_grows_with_the_songs(config, plans, monkeypatch):
    monkeypatch.setattr("sepcore.dataset.cache.estimate._fastest_s", lambda work: 3.0 if "read" in str(work) else 5.0)
    alone = estimate_cache(plans[:1], config, num_workers=1).minutes
    # Read until the last chunk's end, at 3.5 s of audio, at 3 s a chunk; three chunks computed at 2 s.
    assert alone == pytest.approx((3 * 3.5 / 1.5 + 3 * 2) / 60)
    assert estimate_cache(plans[:1], config, num_workers=4).minutes == pytest.approx(alone / 4)


def test_nothing_to_cache_takes_nothing(config):
    estimate = estimate_cache([], config, num_workers=2)
    assert dataclasses.astuple(estimate) == (0, 0, 0, 0.0)
