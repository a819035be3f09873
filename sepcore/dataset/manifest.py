"""Manifests: the CSVs that list a dataset's songs, in the form that Spleeter reads."""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sepcore.atomic import write_text
from sepcore.config import ModelConfig
from sepcore.errors import DatasetError

_SHOWN_ROWS = 5
# Files of these names say nothing about the song; its folder does, as in MUSDB18-HQ.
_MIXTURE_FILE_NAMES = {"mix", "mixture"}


@dataclass(frozen=True)
class TrackRow:
    """One song: where its audio lies, and how long it is.

    Attributes:
        name: Unique in its manifest and readable: the mixture's file name, or its folder's where the file is called
            ``mixture`` or the like.
        mixture: Audio file of the whole song.
        stems: ``(instrument, audio file)`` in the order of the config.
        duration_s: Length in seconds, > 0.
    """

    name: str
    mixture: Path
    stems: tuple[tuple[str, Path], ...]
    duration_s: float

    @property
    def files(self) -> tuple[Path, ...]:
        """The mixture and the stems, in this order."""
        return (self.mixture, *(path for _, path in self.stems))


def load_manifest(csv_path: Path, config: ModelConfig, *, data_dir: Path | None = None) -> list[TrackRow]:
    """Read the songs that a CSV lists.

    Args:
        csv_path: CSV with the columns ``<mix_name>_path``, ``<instrument>_path`` for each instrument, and ``duration``
            in seconds; others are ignored.
        config: Names the mixture and the instruments.
        data_dir: Folder of the relative paths in the CSV (Spleeter's ``-d``); None: the CSV's own folder.

    Returns:
        The songs in the order of the rows; none for a CSV that has only its header.

    Raises:
        DatasetError: no such CSV, columns missing, or rows with an empty path, a missing file or an impossible
            duration; they are named by number, the first song being row 1.
    """
    records = _read_records(csv_path, _columns(config))
    folder = csv_path.parent if data_dir is None else data_dir
    problems: list[str] = []
    rows: list[TrackRow] = []
    names: set[str] = set()
    for number, record in enumerate(records, start=1):
        faults = _faults(record, config, folder)
        problems += [f"row {number}: {fault}" for fault in faults]
        if not faults:
            mixture, *stems = (folder / record[column] for column in _path_columns(config))
            name = _unique(_song_name(mixture, config), names)
            names.add(name)
            paired = tuple(zip(config.instruments, stems, strict=True))
            rows.append(TrackRow(name, mixture, paired, float(record["duration"])))
    if problems:
        more = f"; and {len(problems) - _SHOWN_ROWS} more" if len(problems) > _SHOWN_ROWS else ""
        cure = "Paths are relative to the CSV's folder or to -d/--data."
        raise DatasetError(f"{csv_path}: {'; '.join(problems[:_SHOWN_ROWS])}{more}. {cure}")
    return rows


def save_manifest(csv_path: Path, rows: Iterable[TrackRow], config: ModelConfig) -> None:
    """Write the CSV that `load_manifest` reads; paths below its folder are written relative to it, others absolute."""
    folder = csv_path.absolute().parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_columns(config))
    for row in rows:
        paths = [path.absolute() for path in row.files]
        shown = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in paths]
        writer.writerow([*(path.as_posix() for path in shown), f"{row.duration_s:.6f}"])
    write_text(csv_path, text.getvalue())


def _path_columns(config: ModelConfig) -> list[str]:
    return [f"{name}_path" for name in (config.mix_name, *config.instruments)]


def _columns(config: ModelConfig) -> list[str]:
    return [*_path_columns(config), "duration"]


def _read_records(csv_path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        # Spreadsheet programs put a byte order mark in front; utf-8-sig reads with and without.
        with csv_path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            present = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = present
            records = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetError(f"{csv_path}: cannot be read as a manifest ({reason}); give a CSV file in UTF-8.") from error
    missing = [column for column in columns if column not in present]
    if missing:
        raise DatasetError(
            f"{csv_path}: lacks the column(s) {', '.join(missing)}; it has {', '.join(present) or 'none'}. "
            f"The model needs {', '.join(columns)}."
        )
    return [{column: record[column].strip() for column in columns} for record in records]


def _faults(record: dict[str, str], config: ModelConfig, folder: Path) -> list[str]:
    faults = []
    for column in _path_columns(config):
        if not record[column]:
            faults.append(f"{column} is empty")
        elif not (folder / record[column]).is_file():
            faults.append(f"{column}: no file {folder / record[column]}")
    if not _is_duration(record["duration"]):
        faults.append(f"duration is {record['duration']!r}, expected seconds > 0")
    return faults


def _is_duration(text: str) -> bool:
    try:
        seconds = float(text)
    except ValueError:
        return False
    return math.isfinite(seconds) and seconds > 0


def _song_name(mixture: Path, config: ModelConfig) -> str:
    says_nothing = mixture.stem.lower() in _MIXTURE_FILE_NAMES | {config.mix_name.lower()}
    return mixture.absolute().parent.name if says_nothing else mixture.stem


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate
