"""The dataset check: measure and judge every row of a manifest, before hours of work start."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.check.findings import find_issues
from sepcore.dataset.check.measure import SongMeasures, measure_song
from sepcore.dataset.check.report import CheckedSong, CheckReport, report_path, with_repeats
from sepcore.dataset.check.report_file import Journal, journal_path, read_journal, read_measures, write_report
from sepcore.dataset.manifest import TrackRow, scan_manifest
from sepcore.errors import DatasetError
from sepcore.system.atomic import remove_leftovers
from sepcore.system.threads import num_cores

MeasureAll = Callable[[Sequence[TrackRow]], Iterable[tuple[TrackRow, SongMeasures]]]

_SongPaths = tuple[str, ...]


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
    """Measure and judge all songs of a manifest, and write the report.

    Songs whose files are in the last report and unchanged (by path, size and times) are not read again, whatever the
    manifest's order and the config. An interrupted check resumes from a journal beside the report.

    Args:
        csv: The manifest.
        config: What its songs must fit.
        data_dir: Folder of its relative paths; None: its own.
        report: The Parquet report; None: beside the manifest (`report_path`).
        measure_all: Measures songs and yields each with its measures, in any order; None: threads of this process.
        for_training: See `find_issues`.
        beside: Reports of manifests that should have other songs, such as the training songs'.

    Raises:
        DatasetError: the manifest cannot be read or lists no songs; the report cannot be written, or would replace
            another file.
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
    songs = [
        CheckedSong(number, row, measures[row], find_issues(row, measures[row], config, for_training=for_training))
        for number, row in scan.rows
    ]
    checked = CheckReport(csv, path, with_repeats(songs, beside), scan.faults)
    # If every file is missing, a disk is probably not mounted; the last measures are still valid once it is.
    if songs or not path.exists():
        write_report(checked)
        journal_path(path).unlink(missing_ok=True)
    return checked


def require_usable(report: CheckReport) -> None:
    """Raise DatasetError if no row can be used, with the reasons and how many rows have each."""
    if report.usable:
        return
    examples: dict[str, dict[int, str]] = {}  # by cure and row
    for found in report.findings():
        if found.finding.severity == "left out":
            examples.setdefault(found.finding.cure, {}).setdefault(found.number, found.finding.reason)
    cures = sorted(examples, key=lambda cure: -len(examples[cure]))
    reasons = []
    for (number, reason), *others in (examples[cure].items() for cure in cures):
        reasons.append(f"row {number}: {reason}" + (f" (and {len(others)} more like it)" if others else ""))
    problem = f"none of its {report.num_rows} rows can be used: {'; '.join(reasons)}"
    raise DatasetError(problem, path=report.csv, hint=" ".join(cures))


def measure_in_threads(
    rows: Sequence[TrackRow], *, mix_name: str, num_threads: int | None = None
) -> Iterator[tuple[TrackRow, SongMeasures]]:
    """Measure songs in threads of this process and yield each when it is done, in any order.

    Rows are taken a few at a time; without ``num_threads`` there is a thread for each core. Threads are enough:
    decoding, hashing and numpy run outside the interpreter's lock.
    """
    threads = num_threads or num_cores()
    pool = ThreadPoolExecutor(threads)
    remaining = iter(rows)
    under_way: dict[Future[SongMeasures], TrackRow] = {}
    try:
        while True:
            # One more than there are threads, so that no thread is idle while a result is being used.
            for row in islice(remaining, threads + 1 - len(under_way)):
                under_way[pool.submit(measure_song, row, mix_name=mix_name)] = row
            if not under_way:
                return
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield under_way.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _known(report: Path) -> dict[_SongPaths, SongMeasures]:
    # The stems' paths are sorted, since the order of the config's instruments may change.
    known = {}
    for files in chain(read_measures(report), read_journal(journal_path(report))):
        # A file that could not be read last time may be readable now.
        if not any(file.error for file in files):
            mixture, *stems = (file.path for file in files)
            known[mixture, *sorted(stems)] = files
    return known


def _current(row: TrackRow, known: dict[_SongPaths, SongMeasures], mix_name: str) -> SongMeasures | None:
    mixture, *stems = (str(path.absolute()) for path in row.files)
    files = known.get((mixture, *sorted(stems)))
    if files is None or not all(file.is_current() for file in files):
        return None
    by_path = {file.path: replace(file, residual_db=None) for file in files}
    of_stems = (replace(by_path[path], signal=name) for path, (name, _) in zip(stems, row.stems, strict=True))
    return (replace(by_path[mixture], signal=mix_name, residual_db=files[0].residual_db), *of_stems)
