"""The report as a Parquet file: a table for people, and the measures of files that need not be decoded again."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sepcore.dataset.check.measure import FileMeasures, SongMeasures
from sepcore.dataset.check.report import CheckedSong, CheckReport
from sepcore.errors import DatasetError
from sepcore.system.atomic import atomic_path
from sepcore.system.os_errors import fix_for, reason_of

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# Raised when a measure changes its meaning: what other versions have written is measured anew.
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
    """Write the report whole; a file that says the same already is not touched.

    Each audio file is a row. What holds for the song (``usable``, ``csv_duration_s``, ``residual_db``, ``findings``)
    stands in all rows of its files; a row of the manifest that leads to no files is a row without a signal.

    Raises:
        DatasetError: if it cannot be written, or something else stands in its place.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    records = _records(report)
    schema = _schema()
    batches = iter(lambda: list(islice(records, _BATCH_ROWS)), [])
    table = pa.Table.from_batches([_batch(batch, schema) for batch in batches], schema)
    with _opened(report.path) as there:
        if there is not None and _version(there) == MEASURES_VERSION and there.read().equals(table):
            return
    try:
        # As an open file: pyarrow takes a name with a colon for a URL, and none that is no Unicode.
        with atomic_path(report.path) as temporary, temporary.open("wb") as file:
            pq.write_table(table, file, compression="zstd")
    except OSError as error:
        raise cannot_write(report.path, error) from error


def read_measures(path: Path) -> Iterator[SongMeasures]:
    """The measures of a report; none where there is no report, or one of another version.

    Raises:
        DatasetError: if there is a file that is no report of a check.
    """
    with _opened(path) as there:
        if there is None or _version(there) != MEASURES_VERSION:
            return
        columns = ["row", "residual_db", *_FILE_COLUMNS.values()]
        rows = (row for batch in there.iter_batches(_BATCH_ROWS, columns=columns) for row in batch.to_pylist())
        for _, song in groupby(rows, key=lambda row: row["row"]):
            files = list(song)
            if files[0]["signal"] is not None:
                yield SongMeasures(tuple(_measures(row) for row in files), files[0]["residual_db"])


def _measures(row: dict[str, Any]) -> FileMeasures:
    return FileMeasures(**{field: row[column] for field, column in _FILE_COLUMNS.items()})


def cannot_write(report: Path, error: OSError) -> DatasetError:
    """What to say where the report, or the journal beside it, cannot be written."""
    return DatasetError(
        f"cannot be written to ({reason_of(error)}), and the report of the check goes there",
        path=report.parent,
        hint=f"{fix_for(error)}, or put the report somewhere else (flows.check: --report).",
        errno=error.errno,
    )


def _records(report: CheckReport) -> Iterator[dict[str, Any]]:
    faulty = groupby(report.faults, key=lambda fault: fault.number)
    rows: list[tuple[int, CheckedSong | list[str]]] = [(song.number, song) for song in report.songs]
    rows += [(number, [f"left out: {fault.reason}. {fault.cure}" for fault in faults]) for number, faults in faulty]
    for number, row in sorted(rows, key=lambda row: row[0]):
        if isinstance(row, CheckedSong):
            yield from _song_records(row)
        else:
            yield {"row": number, "usable": False, "findings": row}


def _song_records(song: CheckedSong) -> Iterator[dict[str, Any]]:
    for file in song.measures.files:
        yield {
            "row": song.number,
            "song": song.row.name,
            "usable": song.usable,
            **{column: getattr(file, field) for field, column in _FILE_COLUMNS.items()},
            "duration_s": file.duration_s,
            "csv_duration_s": song.row.duration_s,
            "length_difference_s": file.duration_s - song.measures.mixture.duration_s,
            "residual_db": song.measures.residual_db,
            "findings": [str(finding) for finding in song.findings],
        }


def _schema() -> "pa.Schema":
    import pyarrow as pa

    columns = [(name, pa.type_for_alias(kind)) for name, kind in _COLUMNS.items()]
    return pa.schema([*columns, ("findings", pa.list_(pa.string()))], {_VERSION_KEY: str(MEASURES_VERSION)})


def _batch(records: list[dict[str, Any]], schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    try:
        return pa.RecordBatch.from_pylist(records, schema)
    except UnicodeEncodeError:  # the name of a folder that is no Unicode, such as an old one in Latin-1
        return pa.RecordBatch.from_pylist([{key: _unicode(value) for key, value in r.items()} for r in records], schema)


def _unicode(value: Any) -> Any:
    if isinstance(value, list):
        return [_unicode(part) for part in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


@contextmanager
def _opened(path: Path) -> "Iterator[pq.ParquetFile | None]":
    """The report; None if there is nothing. DatasetError if there is something else."""
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
            raise DatasetError(
                "already exists and is not a report of a dataset check",
                path=path,
                hint="Choose another name with --report, or remove it.",
            )
        yield report


def _version(file: "pq.ParquetFile") -> int | None:
    version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY)
    return int(version) if version else None
