"""The journal of a check: each song's measures on a line as soon as they are there, so that a killed check goes on."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Self

from sepcore.dataset.check.measure import FileMeasures, SongMeasures
from sepcore.dataset.check.report_file import MEASURES_VERSION, cannot_write


def journal_path(report: Path) -> Path:
    """Where the journal of a report stands: ``train.check.parquet`` → ``.train.check.jsonl``."""
    return report.with_name(f".{report.stem}.jsonl")


def read_journal(path: Path) -> Iterator[SongMeasures]:
    """The songs that an interrupted check has measured; lines that it did not finish, or in another form, are none."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            with suppress(ValueError, TypeError, KeyError):
                version, files, residual_db = json.loads(line)
                if version == MEASURES_VERSION:
                    yield SongMeasures(tuple(FileMeasures(**fields) for fields in files), residual_db)


class Journal:
    """Appends measures to a file; one without any goes again.

    Raises:
        DatasetError: if the file cannot be made or written.
    """

    def __init__(self, report: Path) -> None:
        self._report = report
        self._path = journal_path(report)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab", buffering=0)
        except OSError as error:
            raise cannot_write(report, error) from error

    def __enter__(self) -> Self:
        # A process that was killed while it wrote has left half a line; the next one must not continue it.
        if self._file.tell():
            self._write(b"\n")
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        empty = not self._file.tell()
        self._file.close()
        if empty:
            self._path.unlink(missing_ok=True)

    def add(self, measures: SongMeasures) -> None:
        """Write one song; when this returns, a process that is killed does not lose it."""
        song = [MEASURES_VERSION, [asdict(file) for file in measures.files], measures.residual_db]
        self._write(json.dumps(song).encode() + b"\n")

    def _write(self, line: bytes) -> None:
        try:
            if self._file.write(line) < len(line):  # the disk took a part of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise cannot_write(self._report, error) from error
