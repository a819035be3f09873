"""Tasks of the data stage: songs of a dataset to manifests, manifests to shards."""

from pathlib import Path

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from sepcore.config import ModelConfig
from sepcore.dataset.cache.shards import ShardRef, write_shard
from sepcore.dataset.ingest.musdb import MusdbTrack, ingest_track
from sepcore.dataset.manifest import TrackRow

# No task here has a Prefect cache: what is done is found by its files. A cached result would still say so after a file
# was deleted. Only reading is retried, since recordings often lie on a shared disk.


@task(task_run_name="ingest-{track.name}", retries=1, retry_delay_seconds=5, cache_policy=NO_CACHE)
def ingest_song(track: MusdbTrack, out: Path, config: ModelConfig) -> TrackRow:
    """Run `sepcore.dataset.ingest.musdb.ingest_track` on one song."""
    row = ingest_track(track, out, config)
    get_run_logger().info("%s: %.1f s for %s", track.name, row.duration_s, track.split)
    return row


@task(task_run_name="cache-{row.name}", retries=1, retry_delay_seconds=5, cache_policy=NO_CACHE)
def cache_song(row: TrackRow, config: ModelConfig, folder: Path, num_chunks: int) -> ShardRef:
    """Run `sepcore.dataset.cache.shards.write_shard` on one song."""
    shard = write_shard(row, config, folder, num_chunks=num_chunks)
    get_run_logger().info("%s: %d chunks in %s", row.name, shard.num_chunks, shard.path)
    return shard
