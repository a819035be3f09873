"""The caching flow: write the missing shards of all usable songs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from prefect import flow

from flows.cache.options import Options
from flows.support.flow_options import run_name
from flows.support.inputs import PartToCache, parts_to_cache
from flows.support.runners import task_runner
from flows.support.song_tasks import finished_tasks
from flows.support.terminal import say
from sepcore.config.load import load_config, model_name
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.build_index import build_index, find_index
from sepcore.dataset.cache.maintenance import lock_cache, prune, remove_damaged_shards
from sepcore.dataset.cache.plan import ShardPlan, planned_fingerprints, shard_plans
from sepcore.dataset.cache.shards import Shard, find_shards
from sepcore.dataset.check.check import MeasureAll, check_manifest, require_usable
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.check.report import CheckReport, place_of_report
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import AudioDecodeError, CacheNotWritable, DatasetError, SongsFailed, StemworksError
from sepcore.system.atomic import remove_leftovers
from sepcore.system.printable import first_few
from sepcore.training.run_folder import RunFolder
from tasks.dataset import cache_song, check_song
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
        name: What the config is called.
        train_csv: Instead of the config's.
        validation_csv: Instead of the config's.
        data_dir: Folder of the manifests' relative paths.
        verify: Read every chunk that is there, and cache songs with a damaged one again.
        prune_for: Remove the shards that neither this config nor these need; None: remove none.
        test_csv: Songs that the model will be scored on: all must be usable, and are looked for in the others.
        work_dir: Folder for the check's reports where nothing can be written beside the manifests and in the caches.
        unfinished: Folder of a run that goes on if the songs are its own; if not, a line says so before the caching.

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
        _prune([(config, plans), *((other, _plan_of(other, data_dir)) for other in prune_for)])
    return indexes


def _plan_of(config: ModelConfig, data_dir: Path | None) -> dict[PartToCache, list[ShardPlan]]:
    return _plan(parts_to_cache(config), config, data_dir)


def _plan(
    parts: Sequence[PartToCache],
    config: ModelConfig,
    data_dir: Path | None,
    test_csv: Path | None = None,
    fallbacks: Sequence[Path] = (),
) -> dict[PartToCache, list[ShardPlan]]:
    """The shards to make of each part's usable songs."""
    csvs = [(part.csv, [part.folder, *fallbacks]) for part in parts]
    reports = checked_manifests(csvs, config, data_dir)
    if test_csv is not None:
        # Now, so that faults in them are not found after hours of training.
        check_test_songs(test_csv, fallbacks, config, data_dir, beside=reports)
    return {
        part: shard_plans(report, config, num_chunks=part.num_chunks)
        for part, report in zip(parts, reports, strict=True)
    }


def _changed_songs(
    run: RunFolder, plans: Mapping[PartToCache, Sequence[ShardPlan]], config: ModelConfig
) -> Iterator[str]:
    """A line if an unfinished run was trained on other songs than those that are to be cached."""
    inputs = run.inputs()
    now = {part.name: planned_fingerprints(songs, config) for part, songs in plans.items()}
    changed = [f"{part} songs" for part, content in now.items() if inputs and inputs.songs[part] not in content]
    if changed:
        yield (
            f"{run.path} is unfinished and was trained with other {' and '.join(changed)}: a new run will start beside "
            "it. To go on there, stop this and bring those songs back, or give --force (go on there with these)."
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
        shards = _cache_missing(part, plans, config)
        return build_index(part.folder, _songs(plans, shards), config)


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
    if failures:
        raise _some_failed(part.csv, failures, len(plans))
    return shards


def _some_failed(csv: Path, failures: Sequence[StemworksError], num_songs: int) -> SongsFailed:
    """One line: the first problems, and then what to do about them, each thing once."""
    problems = [error.reason for error in failures]
    hints = dict.fromkeys(error.hint for error in failures[:_SHOWN_FAILURES] if error.hint)
    return SongsFailed(
        f"{len(failures)} of {num_songs} songs could not be cached: "
        + first_few(problems, _SHOWN_FAILURES, separator="; "),
        path=csv,
        hint=" ".join([*hints, "The other songs were kept."]),
    )


def _prune(needed_by: Sequence[tuple[ModelConfig, dict[PartToCache, list[ShardPlan]]]]) -> None:
    """Remove what no config needs from the first one's folders."""
    needed = {plan.fingerprint for _, plans in needed_by for part in plans.values() for plan in part}
    for part in needed_by[0][1]:
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
        prune_for=tuple(map(load_config, options.keep_for)) if options.prune else None,
    )


def checked_manifests(
    csvs: Sequence[tuple[Path, Sequence[Path]]],
    config: ModelConfig,
    data_dir: Path | None,
    *,
    for_training: bool = True,
    beside: Sequence[CheckReport] = (),
) -> list[CheckReport]:
    """Check manifests, and say which of their songs are left out.

    Args:
        csvs: Each manifest, and folders for its report if nothing can be written beside the manifest.
        config: What the songs must fit.
        data_dir: Folder of the manifests' relative paths.
        for_training: Whether the songs must fit the config's channels and segments.
        beside: Reports of manifests whose songs are looked for in these, too.

    Returns:
        A report for each, with at least one usable song.
    """
    reports: list[CheckReport] = []
    for csv, fallbacks in csvs:
        report = check_manifest(
            csv,
            config,
            data_dir=data_dir,
            report=place_of_report(csv, *fallbacks),
            measure_all=_as_tasks(csv, config),
            for_training=for_training,
            beside=[*beside, *reports],
        )
        require_usable(report)
        say(report.summary_lines())
        reports.append(report)
    return reports


def check_test_songs(
    csv: Path, fallbacks: Sequence[Path], config: ModelConfig, data_dir: Path | None, *, beside: Sequence[CheckReport]
) -> None:
    """Refuse a test set with a song that cannot be scored, and report songs that ``beside`` also has.

    See `checked_manifests`.
    """
    tested = [(csv, fallbacks)]
    (report,) = checked_manifests(tested, config, data_dir, for_training=False, beside=beside)
    if len(report.usable) < report.num_rows:
        raise DatasetError("has songs that cannot be scored (see above)", path=csv, hint="Fix them, or take them out.")


def _as_tasks(csv: Path, config: ModelConfig) -> MeasureAll:
    def measure_all(rows: Sequence[TrackRow]) -> Iterator[tuple[TrackRow, SongMeasures]]:
        # Absolute: the workers of a cluster have another working directory.
        absolute = (row.absolute() for row in rows)
        tasks = finished_tasks(check_song, absolute, config.mix_name, description=f"check {csv.name}", total=len(rows))
        return ((row, future.result()) for row, (_, future) in zip(rows, tasks, strict=True))

    return measure_all
