"""An estimate of a caching, without Prefect: it makes the dataset check, whose result is kept."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from flows.support.inputs import PartToCache, parts_to_cache
from flows.support.terminal import say
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.estimate import estimate_cache
from sepcore.dataset.cache.maintenance import prune
from sepcore.dataset.cache.plan import ShardPlan, shard_plans
from sepcore.dataset.cache.shards import find_shards
from sepcore.dataset.check.check import check_manifest, measure_in_threads, require_usable
from sepcore.dataset.check.report import place_of_report
from sepcore.system.threads import num_cores


def print_estimate(
    config: ModelConfig, data_dir: Path | None, workers: int | None, *, prune_for: Sequence[ModelConfig] | None = None
) -> None:
    """Print the songs, gigabytes and minutes of both parts, and what pruning for configs would remove."""
    workers = workers or num_cores()
    plans = _plans(config, data_dir, workers)
    for part, songs in plans.items():
        there = find_shards(part.folder)
        missing = {plan.fingerprint: plan for plan in songs if plan.fingerprint not in there}
        takes = estimate_cache(list(missing.values()), config, num_workers=workers)
        say(
            [
                f"{part.name}: {takes.num_songs} of {len(songs)} songs to cache, {takes.num_chunks} chunks, "
                f"{takes.num_bytes / 1e9:.3g} GB in {part.folder}, "
                f"about {_time(takes.minutes)} with {workers} worker(s)",
            ]
        )
    if prune_for is not None:
        needed_by = [plans, *(_plans(other, data_dir, workers) for other in prune_for)]
        needed = {plan.fingerprint for songs in needed_by for part in songs.values() for plan in part}
        for part in plans:
            num_files, num_bytes = prune(part.folder, needed, dry_run=True)
            say([f"{part.name}: {num_files} files ({num_bytes / 1e9:.3g} GB) would be removed"])


def _plans(config: ModelConfig, data_dir: Path | None, workers: int) -> dict[PartToCache, list[ShardPlan]]:
    measure_all = partial(measure_in_threads, mix_name=config.mix_name, num_threads=workers)
    plans = {}
    for part in parts_to_cache(config):
        place = place_of_report(part.csv, part.folder)
        report = check_manifest(part.csv, config, data_dir=data_dir, report=place, measure_all=measure_all)
        require_usable(report)
        say(report.summary_lines())
        plans[part] = shard_plans(report, config, num_chunks=part.num_chunks)
    return plans


def _time(minutes: float) -> str:
    if minutes < 1:
        return f"{minutes * 60:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
