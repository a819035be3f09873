"""The dataset check: every row of a manifest measured and judged before hours of work start."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.findings import find_issues
from sepcore.dataset.check.journal import Journal, journal_path, read_journal
from sepcore.dataset.check.measure import FileMeasures, SongMeasures
from sepcore.dataset.check.repeats import with_repeats, with_shared_songs
from sepcore.dataset.check.report import CheckedSong, CheckReport, report_path
from sepcore.dataset.check.report_file import read_measures, write_report
from sepcore.dataset.check.threads import measure_in_threads
from sepcore.dataset.manifest import TrackRow, scan_manifest
from sepcore.errors import DatasetError
from sepcore.system.atomic import remove_leftovers

MeasureAll = Callable[[Sequence[TrackRow]], Iterable[tuple[TrackRow, SongMeasures]]]

_SongFiles = tuple[str, ...]


def check_manifest(
    csv: Path,
    config: ModelConfig,
    *,
    data_dir: Path | None = None,
    report: Path | None = None,
    measure_all: MeasureAll | None = None,
    for_training: bool = True,
    beside: Sequence[CheckReport] = (),
) -> CheckReport:
    """Measure and judge all songs of a manifest, and write the report; see `require_usable` for what follows from it.

    Songs whose files are those that the last report knows (by path, size and times) are not read again, whatever the
    manifest's order and the config. A check that was interrupted goes on: what it has measured stands in a journal
    beside the report.

    Args:
        csv: The manifest.
        config: What its songs shall fit.
        data_dir: Folder of its relative paths; None: its own.
        report: The Parquet report; None: beside the manifest (`report_path`).
        measure_all: Measures songs and yields each with its measures, in any order; None: threads of this process.
        for_training: See `find_issues`.
        beside: Reports of other manifests that shall not have the same songs, such as the training songs'.

    Raises:
        DatasetError: a manifest that cannot be read or lists no songs; a report that cannot be written, or would
            stand in the place of something else.
    """
    path = report or report_path(csv)
    scan = scan_manifest(csv, config, data_dir=data_dir)
    if not scan.rows and not scan.faults:
        raise DatasetError("lists no songs", path=csv, hint="Add a row for each song below its header.")
    remove_leftovers(path.parent)
    known = _known(path)
    measures = {row: found for _, row in scan.rows if (found := _current(row, known, config.mix_name))}
    missing = [row for _, row in scan.rows if row not in measures]
    if missing:
        measure = measure_all or partial(measure_in_threads, mix_name=config.mix_name)
        with Journal(path) as journal:
            for row, found in measure(missing):
                journal.add(found)
                measures[row] = found
    songs = []
    for number, row in scan.rows:
        findings = find_issues(row, measures[row], config, for_training=for_training)
        songs.append(CheckedSong(number, row, measures[row], findings))
    checked = CheckReport(csv, path, with_shared_songs(with_repeats(songs), beside), scan.faults)
    # Where every file is missing, a disk is not there; when it is back, the measures of last time are still good.
    if songs or not path.exists():
        write_report(checked)
        journal_path(path).unlink(missing_ok=True)
    return checked


def require_usable(report: CheckReport) -> None:
    """Refuse a manifest without a usable row: DatasetError with the reasons, and how many rows have each."""
    if report.usable:
        return
    rows: dict[str, set[int]] = {}
    examples: dict[str, str] = {}
    for found in report.findings():
        if found.finding.severity == "left out":
            rows.setdefault(found.finding.cure, set()).add(found.number)
            examples.setdefault(found.finding.cure, f"row {found.number}: {found.finding.reason}")
    cures = sorted(rows, key=lambda cure: -len(rows[cure]))
    reasons = []
    for cure in cures:
        alike = f" (and {len(rows[cure]) - 1} more like it)" if len(rows[cure]) > 1 else ""
        reasons.append(f"{examples[cure]}{alike}")
    problem = f"none of its {report.num_rows} rows can be used: {'; '.join(reasons)}"
    raise DatasetError(problem, path=report.csv, hint=" ".join(cures))


def _known(report: Path) -> dict[_SongFiles, SongMeasures]:
    songs = chain(read_measures(report), read_journal(journal_path(report)))
    # What could not be read last time may be readable now.
    return {_files(song): song for song in songs if not any(file.error for file in song.files)}


def _files(song: SongMeasures) -> _SongFiles:
    """What a song is known by: the mixture's file and those of the stems, in whatever order the config has them."""
    mixture, *stems = (file.path for file in song.files)
    return mixture, *sorted(stems)


def _current(row: TrackRow, known: dict[_SongFiles, SongMeasures], mix_name: str) -> SongMeasures | None:
    """A row's measures from an earlier check, if its files have not changed since."""
    mixture, *stems = (str(path.absolute()) for path in row.files)
    song = known.get((mixture, *sorted(stems)))
    if song is None or not all(file.is_current() for file in song.files):
        return None
    by_path = {file.path: file for file in song.files}
    signals = (mix_name, *(instrument for instrument, _ in row.stems))
    files = (_called(by_path[path], signal) for path, signal in zip((mixture, *stems), signals, strict=True))
    return replace(song, files=tuple(files))


def _called(file: FileMeasures, signal: str) -> FileMeasures:
    return file if file.signal == signal else replace(file, signal=signal)
