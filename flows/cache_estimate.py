"""What caching would take: the dataset check, whose result is kept, and an estimate; without Prefect."""

from functools import partial
from pathlib import Path

from flows.inputs import parts_to_cache
from flows.terminal import say
from sepcore.config import ModelConfig
from sepcore.dataset.cache.estimate import estimate_cache
from sepcore.dataset.cache.plan import plan_shard
from sepcore.dataset.cache.shards import find_shards
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.check.threads import measure_in_threads, num_cores


def say_what_it_takes(config: ModelConfig, data_dir: Path | None, workers: int | None) -> None:
    """Lines with the songs, gigabytes and minutes of both parts."""
    workers = workers or num_cores()
    measure_all = partial(measure_in_threads, mix_name=config.mix_name, num_threads=workers)
    for part in parts_to_cache(config):
        report = check_manifest(part.csv, config, data_dir=data_dir, measure_all=measure_all)
        plans = [plan_shard(song.row, song.measures, config, num_chunks=part.num_chunks) for song in report.usable]
        there = find_shards(part.folder)
        missing = {plan.fingerprint: plan for plan in plans if plan.fingerprint not in there}
        takes = estimate_cache(list(missing.values()), config, num_workers=workers)
        say(
            [
                *report.summary_lines(),
                f"{part.name}: {takes.num_songs} of {len(plans)} songs to cache, {takes.num_chunks} chunks, "
                f"{takes.num_bytes / 1e9:.3g} GB in {part.folder}, "
                f"about {_time(takes.minutes)} with {workers} worker(s)",
            ]
        )


def _time(minutes: float) -> str:
    if minutes < 1:
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
