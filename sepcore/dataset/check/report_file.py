"""Files of a check: the report, a Parquet table for people, and the journal from which a killed check resumes.

Files whose measures are in one of them need not be decoded again.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, fields, replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sepcore.dataset.check.measure import FileMeasures, SongMeasures
from sepcore.dataset.check.report import CheckedSong, CheckReport
from sepcore.errors import DatasetError
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Raised when a measure changes its meaning, so that songs are measured again.
MEASURES_VERSION = 1
_VERSION_KEY = b"stemworks.check"
_BATCH_ROWS = 10_000

# The columns but `findings`, and the names of their Arrow types.
_COLUMNS = {
    "row": "int32",
    "song": "string",
    "usable": "bool",
    "signal": "string",
    "path": "string",
    "duration_s": "double",
    "csv_duration_s": "double",
    "length_difference_s": "double",
    "sample_rate": "int32",
    "channels": "int32",
    "samples": "int64",
    "peak": "double",
    "rms_db": "double",
    "silence_share": "double",
    "nan": "int64",
    "clipped": "int64",
    "residual_db": "double",
    "sha256": "string",
    "audio_hash": "string",
    "size": "int64",
    "mtime_ns": "int64",
    "ctime_ns": "int64",
    "error": "string",
}
_SHORT_NAMES = {"num_channels": "channels", "num_samples": "samples", "num_nan": "nan", "num_clipped": "clipped"}
# The columns that hold the fields of `FileMeasures`.
_FILE_COLUMNS = {field.name: _SHORT_NAMES.get(field.name, field.name) for field in fields(FileMeasures)}


def write_report(report: CheckReport) -> None:
    """Write the report, unless it is up to date.

    Each audio file is a row, which also holds its song's ``usable``, ``csv_duration_s``, ``residual_db`` and
    ``findings``. A row of the manifest whose files were not found is a row without a signal.

    Raises:
        DatasetError: it cannot be written, or another file is in its place.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = _records(report)
    columns = [(name, pa.type_for_alias(kind)) for name, kind in _COLUMNS.items()]
    columns.append(("findings", pa.list_(pa.string())))
    schema = pa.schema(columns, {_VERSION_KEY: str(MEASURES_VERSION)})
    batches = iter(lambda: list(islice(records, _BATCH_ROWS)), [])
    table = pa.Table.from_batches([_batch(batch, schema) for batch in batches], schema)
    with _opened(report.path) as there:
        if there is not None and _version(there) == MEASURES_VERSION and there.read().equals(table):
            return
    try:
        # As an open file: pyarrow takes a name with a colon for a URL, and refuses names that are not Unicode.
        with atomic_path(report.path) as temporary, temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
    except OSError as error:
        raise _cannot_write(report.path, error) from error


def read_measures(path: Path) -> Iterator[SongMeasures]:
    """The measures of each song in a report; none if there is no report of this version.

    Raises:
        DatasetError: the file is not a report of a check.
    """
    with _opened(path) as there:
        if there is None or _version(there) != MEASURES_VERSION:
            return
        columns = ["row", *_FILE_COLUMNS.values()]
        rows = (row for batch in there.iter_batches(_BATCH_ROWS, columns=columns) for row in batch.to_pylist())
        for _, song in groupby(rows, key=lambda row: row["row"]):
            mixture, *stems = ({field: row[column] for field, column in _FILE_COLUMNS.items()} for row in song)
            if mixture["signal"] is not None:
                yield (FileMeasures(**mixture), *(FileMeasures(**{**stem, "residual_db": None}) for stem in stems))


def _cannot_write(report: Path, error: OSError) -> DatasetError:
    problem = f"cannot be written to ({reason_of(error)}), and the report of the check goes there"
    hint = f"{fix_for(error)}, or put the report somewhere else (flows.check: --report)."
    return DatasetError(problem, path=report.parent, hint=hint, errno=error.errno)


def journal_path(report: Path) -> Path:
    """The journal of a report: ``train.check.parquet`` → ``.train.check.jsonl``."""
    return report.with_name(f".{report.stem}.jsonl")


def read_journal(path: Path) -> Iterator[SongMeasures]:
    """The songs that an interrupted check has measured; partial lines and those of other versions are skipped."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            with suppress(ValueError, TypeError, KeyError):
                version, files, residual_db = json.loads(line)
                if version == MEASURES_VERSION:
                    mixture, *stems = (FileMeasures(**fields) for fields in files)
                    yield (replace(mixture, residual_db=residual_db), *stems)


class Journal:
    """The journal of a check: a line for each song as soon as it is measured. An empty journal is removed.

    Raises:
        DatasetError: the file cannot be made or written.
    """

    def __init__(self, report: Path) -> None:
        self._report = report
        self._path = journal_path(report)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise _cannot_write(report, error) from error

    def __enter__(self) -> Self:
        # A process that was killed while writing may have left a partial line.
        if self._file.tell():
            self._write(b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        empty = not self._file.tell()
        self._file.close()
        if empty:
            self._path.unlink(missing_ok=True)

    def add(self, files: SongMeasures) -> None:
        """Write one song; once this returns, it is not lost if the process is killed."""
        described = [asdict(file) for file in files]
        residual_db, *_ = [fields.pop("residual_db") for fields in described]
        self._write(json.dumps([MEASURES_VERSION, described, residual_db]).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            if self._file.write(line) < len(line):  # only a part fitted on the disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise _cannot_write(self._report, error) from error


def _records(report: CheckReport) -> Iterator[dict[str, Any]]:
    faulty = groupby(report.faults, key=lambda fault: fault.number)
    rows: list[tuple[int, CheckedSong | list[str]]] = [(song.number, song) for song in report.songs]
    rows += [(number, [f"left out: {fault.reason}. {fault.cure}" for fault in faults]) for number, faults in faulty]
    for number, row in sorted(rows, key=lambda row: row[0]):
        if not isinstance(row, CheckedSong):
            yield {"row": number, "usable": False, "findings": row}
            continue
        of_song = {
            "row": number,
            "song": row.row.name,
            "usable": row.usable,
            "csv_duration_s": row.row.duration_s,
            "findings": [str(finding) for finding in row.findings],
        }
        mixture = row.files[0]
        for file in row.files:
            yield {
                **of_song,
                **{column: getattr(file, field) for field, column in _FILE_COLUMNS.items()},
                "duration_s": file.duration_s,
                "length_difference_s": file.duration_s - mixture.duration_s,
                "residual_db": mixture.residual_db,
            }


def _batch(records: list[dict[str, Any]], schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    try:
        return pa.RecordBatch.from_pylist(records, schema)
    except UnicodeEncodeError:  # a folder name that is not Unicode, such as an old one in Latin-1
        return pa.RecordBatch.from_pylist([{key: _unicode(value) for key, value in r.items()} for r in records], schema)


def _unicode(value: Any) -> Any:
    if isinstance(value, list):
        return [_unicode(part) for part in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


@contextmanager
def _opened(path: Path) -> "Iterator[pq.ParquetFile | None]":
    """The report, or None; DatasetError if another file is in its place."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        yield None
        return
    with ExitStack() as stack:
        try:
            report = pq.ParquetFile(stack.enter_context(path.open("rb")))
        except (pa.ArrowException, OSError):
            report = None
        if report is None or _version(report) is None:
            hint = "Choose another name with --report, or remove it."
            raise DatasetError("already exists and is not a report of a dataset check", path=path, hint=hint)
        yield report


def _version(file: "pq.ParquetFile") -> int | None:
    version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY)
    return int(version) if version else None
