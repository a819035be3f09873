"""The scores in a folder: of this project's evaluation, or any program's museval JSON files."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sepcore.errors import DatasetError
from sepcore.evaluation.scores import MadeFrom, read_made_from
from sepcore.evaluation.track_scores import read_track_scores

_KEYS = {"track", "target", "time_s"}
_MEDIANS = "scores.json"


@dataclass(frozen=True, eq=False)
class ScoreFolder:
    """What a folder holds of an evaluation.

    Attributes:
        path: The folder.
        frames: A row for each track, stem and frame; ``track``, ``target``, ``time_s`` and a column for each metric.
        dataset: The test set's name, if the folder has it.
        made_from: What the scores belong to, if the folder has it.
    """

    path: Path
    frames: pd.DataFrame
    dataset: str | None
    made_from: MadeFrom | None = None


def read_score_folder(path: Path) -> ScoreFolder:
    """Read ``frames.parquet``, otherwise all ``test/<track>.json``, otherwise all ``<track>.json``.

    Args:
        path: What ``flows.evaluate -o`` wrote, or the folder that another program gave museval for its files.

    Raises:
        DatasetError: there is no such folder, no score in it, or a file cannot be read.
    """
    if not path.is_dir():
        raise DatasetError(
            "no such folder", path=path, hint="Give one written by `python -m flows.evaluate -o`, or by museval."
        )
    table = path / "frames.parquet"
    if table.is_file():
        frames = _read_table(table)
    elif files := _track_files(path):
        frames = pd.concat([read_track_scores(file).frames for file in files], ignore_index=True)
    else:
        raise DatasetError(
            "no scores in it: neither frames.parquet nor test/<track>.json nor <track>.json",
            path=path,
            hint=f"Score a model into it with `python -m flows.evaluate -p MODEL … -o {path}`.",
        )
    return ScoreFolder(path, frames, *_summary(path / _MEDIANS))


def has_scores(path: Path) -> bool:
    """Whether `read_score_folder` would find a file to read."""
    return (path / "frames.parquet").is_file() or bool(_track_files(path))


def _track_files(path: Path) -> list[Path]:
    in_subset = sorted((path / "test").glob("*.json"))
    return in_subset or [file for file in sorted(path.glob("*.json")) if file.name != _MEDIANS]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        frames = pd.read_parquet(path)
    except ValueError as error:  # pyarrow's error for a damaged file is one
        raise DatasetError(f"cannot be read ({error})", path=path, hint="Delete it and evaluate again.") from error
    missing = sorted(_KEYS - set(frames.columns))
    if missing:
        raise DatasetError(
            f"is not a table of frames: no column {', '.join(missing)}", path=path, hint="Evaluate again."
        )
    return frames


def _summary(path: Path) -> tuple[str | None, MadeFrom | None]:
    """The test set's name and what the scores belong to, from a ``scores.json`` of any version or program."""
    try:
        content = json.loads(path.read_text("utf-8"))
        name = content.get("dataset")
        return (name if isinstance(name, str) else None), read_made_from(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None
