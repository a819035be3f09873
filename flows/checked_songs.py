"""The dataset check as part of another flow: manifests checked one after the other, a task run a song."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.song_tasks import finished_tasks
from flows.terminal import say
from sepcore.config import ModelConfig
from sepcore.dataset.check.check import MeasureAll, check_manifest, require_usable
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.check.report import CheckReport, place_of_report
from sepcore.dataset.manifest import TrackRow
from tasks.dataset import check_song


def checked_manifests(
    csvs: Sequence[tuple[Path, Path]], config: ModelConfig, data_dir: Path | None, *, for_training: bool = True
) -> list[CheckReport]:
    """Check manifests, and say which of their songs are left out.

    Args:
        csvs: Each manifest, and a folder for its report if nothing can be written beside the manifest.
        config: What the songs shall fit.
        data_dir: Folder of the manifests' relative paths.
        for_training: Whether the songs must fit the config's channels and segments.

    Returns:
        A report for each, with at least one usable song.
    """
    reports: list[CheckReport] = []
    for csv, fallback in csvs:
        report = check_manifest(
            csv,
            config,
            data_dir=data_dir,
            report=place_of_report(csv, fallback),
            measure_all=_as_tasks(csv, config),
            for_training=for_training,
            beside=reports,
        )
        require_usable(report)
        say(report.summary_lines())
        reports.append(report)
    return reports


def _as_tasks(csv: Path, config: ModelConfig) -> MeasureAll:
    def measure_all(rows: Sequence[TrackRow]) -> Iterator[tuple[TrackRow, SongMeasures]]:
        # Absolute: the workers of a cluster have another working directory.
        absolute = (row.absolute() for row in rows)
        tasks = finished_tasks(check_song, absolute, config.mix_name, description=f"check {csv.name}", total=len(rows))
        return ((row, future.result()) for row, (_, future) in zip(rows, tasks, strict=True))

    return measure_all
