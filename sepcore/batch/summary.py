"""``summary.parquet``: what became of each song in the latest run, one row per song."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.json import ParseOptions, read_json

from sepcore.batch.song import Outcome, Song
from sepcore.system.atomic import atomic_path
from sepcore.system.printable import printable

_logger = logging.getLogger(__name__)

SUMMARY = "summary.parquet"

_COLUMNS = {
    "song": (pa.string(), "the song's file, absolute"),
    "status": (pa.string(), "done, skipped (its stems were there already) or failed"),
    "reason": (pa.string(), "why it failed; empty otherwise"),
    "audio_s": (pa.float64(), "seconds of audio in each stem"),
    "elapsed_s": (pa.float64(), "seconds that its separation took; of a skipped song, in the run that did it"),
    "times_real_time": (pa.float64(), "audio_s / elapsed_s; null if failed"),
    "stems_folder": (pa.string(), "folder of its stems, relative to the folder of this file"),
}
SCHEMA = pa.schema([pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in _COLUMNS.items()])
"""Columns with their types; ``description`` in a field's metadata says what it holds."""


def write_summary(out: Path, songs: Sequence[Song], outcomes: Mapping[Path, Outcome]) -> Path | None:
    """Write the summary of a run into its output folder, whole or not at all, in the songs' order.

    Returns:
        The file; None if another program's file has its name, which is kept, with a warning.
    """
    path = out / SUMMARY
    if path.exists() and not _is_ours(path):
        _logger.warning("%s: was not written by this program and is kept; this run's summary is not written", path)
        return None
    rows = [_row(song, outcomes[song.path]) for song in songs if song.path in outcomes]
    # By way of JSON: from Python values pyarrow would import pandas, slower than a whole run with nothing to do.
    lines = "".join(f"{json.dumps(row)}\n" for row in rows).encode()
    as_declared = ParseOptions(explicit_schema=SCHEMA)
    table = read_json(pa.BufferReader(lines), parse_options=as_declared) if rows else SCHEMA.empty_table()
    with atomic_path(path) as temporary:
        pq.write_table(table.cast(SCHEMA), temporary, compression="zstd")
    return path


def _is_ours(path: Path) -> bool:
    """Whether a file has the columns that summaries of all versions have."""
    try:
        return {"song", "status", "audio_s", "elapsed_s"} <= set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return False


def earlier_rate(out: Path) -> float | None:
    """How many seconds of audio the latest run separated per second, if that is known."""
    try:
        table = pq.read_table(out / SUMMARY, columns=["audio_s", "elapsed_s"])
    except (OSError, pa.ArrowException):
        return None
    rows = [row for row in table.to_pylist() if row["elapsed_s"]]
    elapsed_s = sum(row["elapsed_s"] for row in rows)
    return sum(row["audio_s"] for row in rows) / elapsed_s if elapsed_s else None


def _row(song: Song, outcome: Outcome) -> dict[str, object]:
    done = outcome.status != "failed"
    return {
        "song": printable(song.path.absolute()),
        "status": outcome.status,
        "reason": printable(outcome.reason),
        "audio_s": outcome.audio_s,
        "elapsed_s": outcome.elapsed_s,
        "times_real_time": outcome.audio_s / outcome.elapsed_s if done and outcome.elapsed_s else None,
        "stems_folder": printable(song.stems[0][1].parent.as_posix()),
    }
