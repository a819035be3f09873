"""The scores that lie in a folder: those of this project's evaluation, or museval's JSON files of any program."""

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
    """What a folder says of an evaluation.

    Attributes:
        path: The folder.
        frames: A row for each track, stem and frame; ``track``, ``target``, ``time_s`` and a column for each metric.
        dataset: The test set's name; None where the folder does not say it.
        made_from: What the scores belong to; None where the folder does not say it.
    """

    path: Path
    frames: pd.DataFrame
    dataset: str | None
    made_from: MadeFrom | None = None


def read_score_folder(path: Path) -> ScoreFolder:
    """The frames of all tracks: from ``frames.parquet``, else from ``test/<track>.json``, else from ``<track>.json``.

    Args:
        path: What ``flows.evaluate -o`` wrote, or the folder that another program gave museval for its files.

    Raises:
        DatasetError: one line, if there is no such folder, no score in it, or a file that cannot be read.
    """
    if not path.is_dir():
        raise DatasetError(
            "no such folder", path=path, hint="Give one written by `python -m flows.evaluate -o`, or by museval."
        )
    return ScoreFolder(path, _read_frames(path), *_summary(path / _MEDIANS))


def has_scores(path: Path) -> bool:
    """Whether `read_score_folder` would find a file to read."""
    return (path / "frames.parquet").is_file() or bool(_track_files(path))


def _read_frames(path: Path) -> pd.DataFrame:
    table = path / "frames.parquet"
    if table.is_file():
        return _read_table(table)
    files = _track_files(path)
    if not files:
        raise DatasetError(
            "no scores in it: neither frames.parquet nor test/<track>.json nor <track>.json",
            path=path,
            hint=f"Score a model into it with `python -m flows.evaluate -p MODEL … -o {path}`.",
        )
    return pd.concat([read_track_scores(file).frames for file in files], ignore_index=True)


def _track_files(path: Path) -> list[Path]:
    in_subset = sorted((path / "test").glob("*.json"))
    return in_subset or [file for file in sorted(path.glob("*.json")) if file.name != _MEDIANS]


def _read_table(path: Path) -> pd.DataFrame:
    try:
        frames = pd.read_parquet(path)
    except ValueError as error:  # pyarrow's own of a damaged file is one
        raise DatasetError(f"cannot be read ({error})", path=path, hint="Delete it and evaluate again.") from error
    missing = sorted(_KEYS - set(frames.columns))
    if missing:
        raise DatasetError(
            f"is not a table of frames: no column {', '.join(missing)}", path=path, hint="Evaluate again."
        )
    return frames


def _summary(path: Path) -> tuple[str | None, MadeFrom | None]:
    """The test set's name in ``scores.json``, whichever version or program wrote it, and what the scores belong to."""
    try:
        content = json.loads(path.read_text("utf-8"))
        name = content.get("dataset")
        return (name if isinstance(name, str) else None), read_made_from(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, None
