"""Manifests: the CSVs that list a dataset's songs, in the form that Spleeter reads."""

import csv
import io
import math
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.csv_rows import RowFault, read_columns, read_rows
from sepcore.errors import DatasetError
from sepcore.system.atomic import write_text
from sepcore.system.printable import first_few, printable
from sepcore.system.urls import is_url

_SHOWN_FAULTS = 5
# Songs whose mixture has such a name are named by its folder, as in MUSDB18-HQ.
_MIXTURE_FILE_NAMES = {"mix", "mixture"}
# A song's name is used in messages and in file names, which are single lines.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class TrackRow:
    """One song: where its audio is, and how long it is."""

    name: str  # unique in its manifest: the name of the mixture's file, or of its folder if the file is ``mixture.*``
    mixture: Path  # audio file of the whole song
    stems: tuple[tuple[str, Path], ...]  # ``(instrument, audio file)`` in the order of the config
    duration_s: float  # length in seconds, > 0

    @property
    def files(self) -> tuple[Path, ...]:
        """The mixture, then the stems."""
        return (self.mixture, *(path for _, path in self.stems))

    def absolute(self) -> "TrackRow":
        """The same song for a process that has another working directory."""
        stems = tuple((name, path.absolute()) for name, path in self.stems)
        return replace(self, mixture=self.mixture.absolute(), stems=stems)


@dataclass(frozen=True)
class ManifestScan:
    """The songs of a manifest whose files exist, with their row numbers, and the faults of the other rows."""

    rows: tuple[tuple[int, TrackRow], ...]
    faults: tuple[RowFault, ...]


def scan_manifest(csv_path: Path, config: ModelConfig, *, data_dir: Path | None = None) -> ManifestScan:
    """Read the songs of a CSV and find the faulty rows; no audio is decoded.

    Args:
        csv_path: CSV with the columns ``<mix_name>_path``, ``<instrument>_path`` for each instrument, and ``duration``
            in seconds; others are ignored.
        config: Names the mixture and the instruments.
        data_dir: Folder of the relative paths in the CSV (Spleeter's ``-d``); None: the CSV's own folder.

    Raises:
        DatasetError: the CSV cannot be read, or a column is missing or repeated.
    """
    folder = csv_path.parent if data_dir is None else data_dir
    rows: list[tuple[int, TrackRow]] = []
    faults: list[RowFault] = []
    names: set[str] = set()
    for number, texts in read_rows(csv_path, _columns(config)):
        if isinstance(texts, RowFault):
            faults.append(texts)
            continue
        found = list(_faults(number, texts, config, folder))
        faults += found
        if not found:
            mixture, *stems = (folder / _file_name(texts[column], folder) for column in _path_columns(config))
            name = _unique(_song_name(mixture, config), names)
            names.add(name)
            paired = tuple(zip(config.instruments, stems, strict=True))
            rows.append((number, TrackRow(name, mixture, paired, float(texts["duration"]))))
    return ManifestScan(tuple(rows), tuple(faults))


def load_manifest(csv_path: Path, config: ModelConfig, *, data_dir: Path | None = None) -> list[TrackRow]:
    """Read the songs of a CSV without faulty rows; arguments as for `scan_manifest`.

    Raises:
        DatasetError: as `scan_manifest`, or there are faulty rows: the first ones are named, counted from row 1.
    """
    scan = scan_manifest(csv_path, config, data_dir=data_dir)
    if scan.faults:
        faults = [f"row {fault.number}: {fault.reason}" for fault in scan.faults]
        hint = "Paths are relative to the CSV's folder or to -d/--data."
        raise DatasetError(first_few(faults, _SHOWN_FAULTS, separator="; "), path=csv_path, hint=hint)
    return [row for _, row in scan.rows]


def scan_mixtures(csv_path: Path, config: ModelConfig, *, data_dir: Path | None = None) -> list[TrackRow]:
    """The mixture of every row that names an existing file, without stems, whatever else is wrong with the row.

    Arguments and errors as for `scan_manifest`. The name says where it is listed, the duration is 0.
    """
    folder = csv_path.parent if data_dir is None else data_dir
    column = f"{config.mix_name}_path"
    rows = []
    for number, texts in read_rows(csv_path, [column]):
        if not isinstance(texts, RowFault):
            name = _file_name(texts[column], folder)
            if not _path_fault(name, folder):
                rows.append(TrackRow(f"row {number} of {manifest_name(csv_path)}", folder / name, (), 0))
    return rows


def save_manifest(csv_path: Path, rows: Iterable[TrackRow], config: ModelConfig) -> None:
    """Write the CSV that `load_manifest` reads; paths in its folder become relative to it, others absolute."""
    write_text(csv_path, manifest_text(csv_path, rows, config))


def manifest_text(csv_path: Path, rows: Iterable[TrackRow], config: ModelConfig) -> str:
    """The text that `save_manifest` writes."""
    folder = csv_path.absolute().parent
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_columns(config))
    for row in rows:
        paths = [path.absolute() for path in row.files]
        shown = [path.relative_to(folder) if path.is_relative_to(folder) else path for path in paths]
        writer.writerow([*(path.as_posix() for path in shown), f"{row.duration_s:.6f}"])
    return text.getvalue()


def manifest_name(csv_path: Path) -> str:
    """A manifest's folder and file, ``musdb/test.csv``: the part of its path that makes sense on other machines."""
    return printable(f"{csv_path.absolute().parent.name}/{csv_path.name}")


def manifest_template(config: ModelConfig) -> str:
    """The text of an example CSV for a config: its columns and two made-up songs."""
    lines = [",".join(_columns(config))]
    for song, duration_s in (("First song", 215.3), ("Second song", 187.0)):
        files = [f"{song}/{name}.wav" for name in (config.mix_name, *config.instruments)]
        lines.append(",".join([*files, str(duration_s)]))
    return "\n".join(lines) + "\n"


def check_columns(csv_path: Path, config: ModelConfig) -> None:
    """Raise the errors of `scan_manifest` without looking at the rows."""
    next(read_rows(csv_path, _columns(config)), None)


def manifest_signals(csv_path: Path) -> tuple[str, tuple[str, ...]]:
    """The names of the mixture and the instruments, from a CSV's own columns (``<name>_path``).

    Raises:
        DatasetError: the CSV cannot be read, or does not have exactly one of ``mix`` and ``mixture``, or no instrument.
    """
    columns = read_columns(csv_path)
    names = [column.removesuffix("_path") for column in columns if column.endswith("_path")]
    mixtures = [name for name in names if name in _MIXTURE_FILE_NAMES]
    instruments = tuple(dict.fromkeys(name for name in names if name not in _MIXTURE_FILE_NAMES))
    if len(mixtures) != 1 or not instruments:
        raise DatasetError(
            "needs one column mix_path (or mixture_path) and an <instrument>_path for each instrument, "
            f"but has {', '.join(columns) or 'no columns'}",
            path=csv_path,
            hint="Rename the columns, or give the config with -p.",
        )
    return mixtures[0], instruments


def _path_columns(config: ModelConfig) -> list[str]:
    return [f"{name}_path" for name in (config.mix_name, *config.instruments)]


def _columns(config: ModelConfig) -> list[str]:
    return [*_path_columns(config), "duration"]


def _faults(number: int, texts: Mapping[str, str], config: ModelConfig, folder: Path) -> Iterator[RowFault]:
    for column in _path_columns(config):
        if fault := _path_fault(_file_name(texts[column], folder), folder):
            reason, cure = fault
            yield RowFault(number, f"{column}{reason}", cure)
    duration = texts["duration"].strip()
    if not _is_duration(duration):
        comma = "," in duration or ":" in duration
        cure = "Write seconds with a decimal point, as 215.3." if comma else "Give the song's length in seconds."
        yield RowFault(number, f"duration is {duration!r}, expected seconds > 0", cure)


def _file_name(exact: str, folder: Path) -> str:
    """The file name in a column, with the spaces around it only if that file exists."""
    stripped = exact.strip()
    try:
        return exact if exact != stripped and (folder / exact).is_file() else stripped
    except OSError:
        return stripped


def _path_fault(text: str, folder: Path) -> tuple[str, str] | None:
    if not text:
        return " is empty", "Name a file in every column, or take the row out."
    if "\n" in text or "\r" in text:
        return " has a line break in it", 'Close the quotation mark (") that the row opens.'
    path = folder / text
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL character in it
        if is_url(text):
            return f": {text} is a URL", "Mount the store as a file system and name the path there (docs/scaling.md)."
        return f": no file {path}", _missing_file_cure(text, folder)
    except OSError as error:
        return f": {path} cannot be read ({error.strerror})", "Make the file readable, or correct its path."
    if stat.S_ISDIR(mode):
        return f": {path} is a folder", "Name the audio file in it."
    # Reading a pipe or a device might never end.
    return None if stat.S_ISREG(mode) else (f": {path} is not a regular file", "Name an audio file.")


def _missing_file_cure(text: str, folder: Path) -> str:
    if text[0] in "\"'" or text[-1] in "\"'":
        return "Take the quotation marks out of the path."
    if "\\" in text and (folder / text.replace("\\", "/")).exists():
        return "Write the path with / instead of \\."
    return f"Correct the path; relative ones are taken from {folder.absolute()} (the CSV's folder, or -d/--data)."


def _is_duration(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def _song_name(mixture: Path, config: ModelConfig) -> str:
    named_by_folder = mixture.stem.lower() in _MIXTURE_FILE_NAMES | {config.mix_name.lower()}
    name = mixture.absolute().parent.name if named_by_folder else mixture.stem
    return _CONTROL.sub(" ", name)  # the manifest's folder may have any name


def _unique(name: str, taken: set[str]) -> str:
    candidates = chain([name], (f"{name} ({number})" for number in count(2)))
    return next(candidate for candidate in candidates if candidate not in taken)
