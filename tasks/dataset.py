"""Tasks of the data stage: songs of a dataset to manifests, manifests to shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.augment import songs
from sepcore.dataset.augment.songs import SongVariant
from sepcore.dataset.augment.variants import Method, Variant
from sepcore.dataset.cache.plan import ShardPlan
from sepcore.dataset.cache.shards import Shard, write_shard
from sepcore.dataset.check.measure import SongMeasures, measure_song
from sepcore.dataset.ingest.audio import prepare_song
from sepcore.dataset.ingest.songs import SourceSong
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError

# No task here has a Prefect cache: its files show whether a song is done. A cached result would still say so after a
# file was deleted. Only reading is retried, since recordings often lie on a shared disk.


def _may_pass(task: object, run: object, state: State[Any]) -> bool:
    """Whether a retry may help: a shared disk may hiccup, but a file that has changed stays changed."""
    return not isinstance(state.data, DatasetError)


@task(
    task_run_name="ingest-{song.name}",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
)
def ingest_song(song: SourceSong, out: Path, config: ModelConfig) -> TrackRow:
    """Run `sepcore.dataset.ingest.audio.prepare_song` on one song."""
    row = prepare_song(song, out, config)
    get_run_logger().info("%s: %.1f s", song.name, row.duration_s)
    return row


@task(
    task_run_name="augment-{row.name}",
    retries=1,
    retry_delay_seconds=2,
    retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
)
def augment_song(
    row: TrackRow, out: Path, config: ModelConfig, variants: Sequence[Variant], method: Method
) -> tuple[SongVariant, ...]:
    """Run `sepcore.dataset.augment.songs.augment_song` on one song."""
    made = songs.augment_song(row, out, config, variants, method)
    get_run_logger().info("%s: %s", row.name, ", ".join(variant.label for variant in variants))
    return made


@task(task_run_name="check-{row.name}", cache_policy=NO_CACHE)
def check_song(row: TrackRow, mix_name: str) -> SongMeasures:
    """Run `sepcore.dataset.check.measure.measure_song` on one song; what is wrong with a file is in its measures."""
    return measure_song(row, mix_name=mix_name)


@task(
    task_run_name="cache-{plan.song}",
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=_may_pass,
    cache_policy=NO_CACHE,
)
def cache_song(plan: ShardPlan, config: ModelConfig, folder: Path) -> Shard:
    """Run `sepcore.dataset.cache.shards.write_shard` on one song."""
    shard = write_shard(plan, config, folder)
    get_run_logger().info("%s: %d chunks in %s", plan.song, shard.num_chunks, shard.path)
    return shard
