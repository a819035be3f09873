"""The caching flow: check the songs, and write the missing shards of the usable ones."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from prefect import flow

from flows.cache.options import Options
from flows.support.flow_options import run_name
from flows.support.inputs import PartToCache, parts_to_cache
from flows.support.measuring import measured_songs
from flows.support.runners import task_runner
from flows.support.song_tasks import finished_tasks
from flows.support.terminal import say
from sepcore.config.load import model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.build_index import build_index, find_index
from sepcore.dataset.cache.maintenance import lock_cache, prune, remove_damaged_shards
from sepcore.dataset.cache.plan import ShardPlan, planned_fingerprints, shard_plans
from sepcore.dataset.cache.shards import Shard, find_shards
from sepcore.dataset.cache.waveform_findings import beyond_full_scale
from sepcore.dataset.check.check import check_manifest, require_usable
from sepcore.dataset.check.report import CheckReport, place_of_report
from sepcore.errors import AudioDecodeError, CacheNotWritable, DatasetError, SongsFailed, StemworksError
from sepcore.system.atomic import remove_leftovers
from sepcore.system.printable import first_few
from sepcore.training.run_folder import RunFolder
from tasks.dataset import cache_song
from tasks.dead_runs import note_run

_SHOWN_FAILURES = 5


@flow(name="cache", flow_run_name=run_name("cache", name=""), task_runner=task_runner(), on_running=[note_run])
def cache(
    config: ModelConfig,
    name: str,
    train_csv: Path | None = None,
    validation_csv: Path | None = None,
    data_dir: Path | None = None,
    verify: bool = False,
    prune_for: tuple[ModelConfig, ...] | None = None,
    test_csv: Path | None = None,
    work_dir: Path | None = None,
    unfinished: Path | None = None,
) -> dict[str, Path]:
    """Check the songs of both manifests and cache those whose shards are not there yet.

    Args:
        config: What to cache, and from which CSVs.
        name: Name of the config.
        train_csv: Instead of the config's.
        validation_csv: Instead of the config's.
        data_dir: Folder of the manifests' relative paths.
        verify: Read every chunk that is there, and cache songs with a damaged one again.
        prune_for: Remove the shards that neither this config nor these need; None: remove none.
        test_csv: Songs that the model will be scored on: all must be usable, and are looked for in the others.
        work_dir: Folder for the check's reports where neither the manifests' folders nor the caches can be written to.
        unfinished: Folder of a run that resumes if the songs are its own; if not, a line says so before the caching.

    Returns:
        The indexes of exactly these songs: ``training`` and ``validation``.
    """
    parts = parts_to_cache(config, train_csv=train_csv, validation_csv=validation_csv)
    # Both are checked before the first song is cached: hours may lie between.
    plans = _plan(parts, config, data_dir, test_csv, [work_dir] if work_dir else [])
    if unfinished is not None:
        say(_changed_songs(RunFolder(unfinished), plans, config))
    indexes = {}
    for part in parts:
        index = None if verify else _cached_index(part, plans[part], config)
        indexes[part.name] = index or _cache_songs(part, plans[part], config, verify=verify)
        say([f"{part.name}: {len(plans[part])} songs in {part.folder}"])
    if prune_for is not None:
        _prune([plans, *(_plan(parts_to_cache(other), other, data_dir) for other in prune_for)])
    return indexes


def _plan(
    parts: Sequence[PartToCache],
    config: ModelConfig,
    data_dir: Path | None,
    test_csv: Path | None = None,
    fallbacks: Sequence[Path] = (),
) -> dict[PartToCache, list[ShardPlan]]:
    """The shards to make of each part's usable songs."""
    reports: list[CheckReport] = []
    for part in parts:
        reports.append(_check(part.csv, [part.folder, *fallbacks], config, data_dir, beside=reports))
    if test_csv is not None:
        # Now, so that faults in them are not found after hours of training.
        tested = _check(test_csv, fallbacks, config, data_dir, beside=reports, for_training=False)
        if len(tested.usable) < tested.num_rows:
            problem = "has songs that cannot be scored (see above)"
            raise DatasetError(problem, path=test_csv, hint="Fix them, or take them out.")
    return {
        part: shard_plans(report, config, num_chunks=part.num_chunks)
        for part, report in zip(parts, reports, strict=True)
    }


def _check(
    csv: Path,
    fallbacks: Sequence[Path],
    config: ModelConfig,
    data_dir: Path | None,
    *,
    beside: Sequence[CheckReport],
    for_training: bool = True,
) -> CheckReport:
    """`check_manifest` by a task run a song; say which songs are left out, at least one is usable.

    The report goes into one of the ``fallbacks`` if nothing can be written beside the manifest.
    """
    report = check_manifest(
        csv,
        config,
        data_dir=data_dir,
        report=place_of_report(csv, *fallbacks),
        measure_all=partial(measured_songs, mix_name=config.mix_name, description=f"check {csv.name}"),
        for_training=for_training,
        beside=beside,
    )
    require_usable(report)
    say(report.summary_lines())
    return report


def _changed_songs(
    run: RunFolder, plans: Mapping[PartToCache, Sequence[ShardPlan]], config: ModelConfig
) -> Iterator[str]:
    """A line if an unfinished run was trained on other songs than the planned ones."""
    inputs = run.inputs()
    now = {part.name: planned_fingerprints(songs, config) for part, songs in plans.items()}
    changed = [f"{part} songs" for part, content in now.items() if inputs and inputs.songs[part] not in content]
    if changed:
        yield (
            f"{run.path} is unfinished and was trained with other {' and '.join(changed)}: a new run will start beside "
            "it. To resume it, stop this and bring those songs back, or give --force (resume it with these)."
        )


def _cached_index(part: PartToCache, plans: Sequence[ShardPlan], config: ModelConfig) -> Path | None:
    """The index of a part that is completely cached; without a lock, so that a read-only cache can be used."""
    shards = find_shards(part.folder)
    if any(plan.fingerprint not in shards for plan in plans):
        return None
    if os.access(part.folder, os.W_OK):
        remove_leftovers(part.folder)
    return find_index(part.folder, _songs(plans, shards), config)


def _songs(plans: Sequence[ShardPlan], shards: Mapping[str, Shard]) -> list[tuple[str, Shard]]:
    return [(plan.song, shards[plan.fingerprint].of(plan)) for plan in plans]


def _cache_songs(part: PartToCache, plans: Sequence[ShardPlan], config: ModelConfig, *, verify: bool) -> Path:
    """Cache what is missing of a part, and return its index."""
    with lock_cache(part.folder):
        remove_leftovers(part.folder)
        if verify:
            say(remove_damaged_shards(part.folder))
        return build_index(part.folder, _songs(plans, _cache_missing(part, plans, config)), config, anew=verify)


def _cache_missing(part: PartToCache, plans: Sequence[ShardPlan], config: ModelConfig) -> dict[str, Shard]:
    """All shards of a part by fingerprint; a song that fails does not stop the others."""
    # Absolute: the workers of a cluster have another working directory.
    folder = part.folder.absolute()
    shards = find_shards(folder)
    missing = {plan.fingerprint: plan for plan in plans if plan.fingerprint not in shards}
    failures: list[StemworksError] = []
    tasks = finished_tasks(
        cache_song, missing.values(), config, folder, description=f"cache {part.name}", total=len(missing)
    )
    for plan, future in tasks:
        try:
            shards[plan.fingerprint] = future.result()
        except (AudioDecodeError, DatasetError) as error:
            if isinstance(error, CacheNotWritable):  # no song's own fault: the others would fail, too
                raise
            failures.append(error)
    if config.cache_content == "waveform":
        cached = ((plan.song, shards[plan.fingerprint]) for plan in plans if plan.fingerprint in shards)
        say(beyond_full_scale(cached))
    if failures:
        problems = first_few([error.reason for error in failures], _SHOWN_FAILURES, separator="; ")
        hints = dict.fromkeys(error.hint for error in failures[:_SHOWN_FAILURES] if error.hint)  # each once
        raise SongsFailed(
            f"{len(failures)} of {len(plans)} songs could not be cached: {problems}",
            path=part.csv,
            hint=" ".join([*hints, "The other songs were kept."]),
        )
    return shards


def _prune(needed_by: Sequence[dict[PartToCache, list[ShardPlan]]]) -> None:
    """Remove from the first plan's folders what no plan needs."""
    needed = {plan.fingerprint for plans in needed_by for part in plans.values() for plan in part}
    for part in needed_by[0]:
        with lock_cache(part.folder):
            num_files, num_bytes = prune(part.folder, needed, dry_run=False)
        say([f"{part.name}: {num_files} files ({num_bytes / 1e9:.3g} GB) removed that no config given needs"])


def main(options: Options) -> None:
    """Cache the songs of the config's CSVs."""
    cache.with_options(task_runner=options.task_runner())(
        options.config(),
        model_name(options.params),
        data_dir=options.data_dir,
        verify=options.verify,
        prune_for=options.prune_for(),
    )
