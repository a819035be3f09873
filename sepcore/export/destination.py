"""The folder that an export goes to: what is there already, and what of it may be replaced."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sepcore.config.network import StrictModel
from sepcore.errors import ExportError
from sepcore.export.formats import Format
from sepcore.provider.checksum import file_sha256
from sepcore.system.ownership import foreign_content, is_real_folder, shown_names

_RECORD_FILE = "export.json"


class ExportRecord(StrictModel):
    """``export.json``, which lies in every export and tells it from a folder of the user's."""

    format: Format
    model: str
    """The model's name."""
    fingerprint: str
    """See `exporter.export_fingerprint`."""
    difference: float
    """Largest difference from the Keras model when it was made, as a part of the peak."""
    files: dict[str, str]
    """SHA-256 of every other file, by its path in the folder."""


@dataclass(frozen=True)
class Destination:
    """A folder that an export may go to (absolute, links followed), and the record of the export that is there now."""

    folder: Path
    record: ExportRecord | None

    def holds(self, fingerprint: str) -> bool:
        """Whether this very export is there, whole and unchanged."""
        record = self.record
        return record is not None and record.fingerprint == fingerprint and record.files == _digests(self.folder)

    def check_replaceable(self, *, overwrite: bool) -> None:
        """Raise ExportError if there is an export that may not be overwritten."""
        if self.record and not overwrite:
            raise ExportError(
                f"holds another export or a changed one ({self.record.format} of {self.record.model})",
                path=self.folder,
                hint="Choose another folder, or replace it with --overwrite.",
            )


def open_destination(path: Path) -> Destination:
    """Check the folder of an export before any work; nothing is written.

    ExportError if it cannot be made, is a file, or holds anything that no export wrote, which is never replaced.
    """
    folder = path.resolve()
    if Path.cwd().is_relative_to(folder):
        raise ExportError(
            "is the working folder or contains it, and would be replaced",
            path=path,
            hint="Name a folder just for the export.",
        )
    if not folder.exists():
        _check_writable(path, next(parent for parent in folder.parents if parent.exists()))
        return Destination(folder, None)
    if not folder.is_dir():
        raise ExportError("is a file", path=path, hint="Name a folder.")
    _check_writable(path, folder.parent)
    for name in foreign_content(folder, exported_files(folder)):
        # A SavedModel has an empty folder for assets: nobody loses anything with one.
        if not is_real_folder(folder / name) or any((folder / name).iterdir()):
            problem = f"holds {shown_names([name])}, which no export wrote"
            raise ExportError(problem, path=path, hint="Choose another folder.")
    return Destination(folder, _read_record(folder))


def exported_files(folder: Path) -> set[str]:
    """The files of a folder that an export wrote, by their paths in it."""
    record = _read_record(folder)
    return {_RECORD_FILE, *record.files} if record else set()


def _check_writable(path: Path, parent: Path) -> None:
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        reason = "read-only" if parent.is_dir() else "a file"
        raise ExportError(f"cannot be written to ({parent} is {reason})", path=path, hint="Choose another folder.")


def write_record(folder: Path, *, form: Format, model: str, fingerprint: str, difference: float) -> None:
    """Write ``export.json`` for the files that lie in a folder."""
    record = ExportRecord(
        format=form, model=model, fingerprint=fingerprint, difference=difference, files=_digests(folder)
    )
    (folder / _RECORD_FILE).write_text(json.dumps(record.model_dump(), indent=2) + "\n", "utf-8")


def _read_record(folder: Path) -> ExportRecord | None:
    path = folder / _RECORD_FILE
    try:
        return ExportRecord.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError:
        return None  # somebody else's export.json


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of all files of an export but its record, by their paths in the folder."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    return {name: file_sha256(folder / name) for name in sorted(files - {_RECORD_FILE})}
