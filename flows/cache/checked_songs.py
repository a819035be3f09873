"""The dataset check as part of another flow: manifests checked one after the other, a task run a song."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from flows.support.song_tasks import finished_tasks
from flows.support.terminal import say
from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.check import MeasureAll, check_manifest, require_usable
from sepcore.dataset.check.measure import SongMeasures
from sepcore.dataset.check.report import CheckReport, place_of_report
from sepcore.dataset.manifest import TrackRow
from sepcore.errors import DatasetError
from tasks.dataset import check_song


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
