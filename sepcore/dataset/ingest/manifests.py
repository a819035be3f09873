"""The files that an ingest writes: a manifest for each split, and the list of the songs that were left out.

They are recognized by their content: a file that somebody edited belongs to them and is not replaced.
"""

import csv
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.audio import finished_row
from sepcore.dataset.ingest.plan import IngestPlan
from sepcore.dataset.ingest.songs import SPLITS, Split
from sepcore.dataset.ingest.targets import LeftOut, refusal
from sepcore.dataset.manifest import TrackRow, manifest_text
from sepcore.dataset.written_texts import WrittenTexts
from sepcore.errors import DatasetError
from sepcore.system.atomic import remove_leftovers, write_text
from sepcore.system.ownership import is_plain_file, shown_names

LEFT_OUT_FILE = "left_out.csv"
"""The list of the songs that were left out, and why."""
_LEFT_OUT_HEADER = "song,reason,cure\n"
_RECORD_FILE = ".ingest.json"

logger = logging.getLogger(__name__)


def claim_manifests(out: Path, plan: IngestPlan, config: ModelConfig) -> None:
    """Raise DatasetError, before any work, if ``out`` has manifests that ingest did not write or somebody edited."""

    def expected() -> dict[str, str]:
        # An earlier version without records wrote the rows of the finished songs.
        rows: dict[Split, list[TrackRow]] = {split: [] for split in SPLITS}
        for song, split in plan.splits.items():
            if row := finished_row(song, out, config):
                rows[split].append(row)
        texts = _texts(rows, plan.left_out, out, config)
        lists = left_out_file(out)
        # Its reasons come from ffmpeg, which may word them otherwise now; nobody edits that list.
        if is_plain_file(lists) and lists.read_text("utf-8", "replace").startswith(_LEFT_OUT_HEADER):
            texts[lists.name] = lists.read_text("utf-8", "replace")
        return texts

    _claim_files(out, expected)


def write_manifests(
    rows: Mapping[Split, Sequence[TrackRow]],
    left_out: Sequence[LeftOut],
    out: Path,
    config: ModelConfig,
    *,
    overwrite: bool = False,
) -> dict[Split, Path]:
    """Write ``train.csv``, ``validation.csv``, ``test.csv`` and ``left_out.csv`` into ``out``.

    A split without songs gets a manifest without rows; if no songs are left out, ``left_out.csv`` is removed. With
    ``overwrite``, files that ingest did not write are replaced, too.

    Returns:
        The manifest of each split.

    Raises:
        DatasetError: no song is left, or a file belongs to somebody else; nothing is written.
    """
    if not any(rows.values()):
        raise refusal(left_out)
    texts = _texts(rows, left_out, out, config)
    if not overwrite:
        _claim_files(out, lambda: texts)
    remove_leftovers(out)
    WrittenTexts(out, _RECORD_FILE).record(texts)
    for name, text in texts.items():
        write_text(out / name, text)
    for split in SPLITS:
        if not rows.get(split):
            logger.warning("%s: the set has no %s songs", out / _csv(split), split)
    if not left_out:
        left_out_file(out).unlink(missing_ok=True)
    return {split: out / _csv(split) for split in SPLITS}


def _texts(
    rows: Mapping[Split, Sequence[TrackRow]], left_out: Sequence[LeftOut], out: Path, config: ModelConfig
) -> dict[str, str]:
    texts = {_csv(split): manifest_text(out / _csv(split), rows.get(split, ()), config) for split in SPLITS}
    return texts | left_out_texts(left_out)


def left_out_texts(left_out: Sequence[LeftOut]) -> dict[str, str]:
    """The list of songs that are left out, by the name of its file; {} if there are none."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((song.song, song.reason, song.cure) for song in left_out)
    return {LEFT_OUT_FILE: _LEFT_OUT_HEADER + text.getvalue()} if left_out else {}


def left_out_file(out: Path) -> Path:
    """The list of the songs that the last ingest into ``out`` left out, if there are any."""
    return out / LEFT_OUT_FILE


def _csv(split: Split) -> str:
    return f"{split}.csv"


_NAMES = [*map(_csv, SPLITS), LEFT_OUT_FILE]


def _claim_files(out: Path, expected: Callable[[], Mapping[str, str]]) -> None:
    """Refuse to replace files unless they are recorded, or have the content that is expected by name."""
    if foreign := WrittenTexts(out, _RECORD_FILE).foreign(_NAMES, expected):
        problem = f"has {shown_names(foreign)}, which ingest did not write or somebody edited since"
        hint = "Move it away, choose another --out, or replace it with `python -m flows.ingest --overwrite`."
        raise DatasetError(problem, path=out, hint=hint)
