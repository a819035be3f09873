"""What an ingest ends with: a manifest for each split, and the list of the songs that were left out."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.audio import finished_row
from sepcore.dataset.ingest.plan import IngestPlan
from sepcore.dataset.ingest.recording import SPLITS, Split
from sepcore.dataset.ingest.targets import LeftOut, refusal
from sepcore.dataset.ingest.written import claim_files, record_files
from sepcore.dataset.manifest import TrackRow, manifest_text
from sepcore.system.atomic import remove_leftovers, write_text
from sepcore.system.ownership import is_plain_file

_LEFT_OUT_FILE = "left_out.csv"
_LEFT_OUT_HEADER = "song,reason,cure\n"
logger = logging.getLogger(__name__)


def claim_manifests(out: Path, plan: IngestPlan, config: ModelConfig) -> None:
    """See before any work that the manifests in ``out`` may be replaced: an ingest wrote them, nobody edited them.

    Raises:
        DatasetError: one line with the names of those that may not.
    """

    def expected() -> dict[str, str]:
        """What the songs that are done give: an ingest of a version that kept no record wrote that."""
        rows: dict[Split, list[TrackRow]] = {split: [] for split in SPLITS}
        for song, split in plan.splits.items():
            if row := finished_row(song, out, config):
                rows[split].append(row)
        texts = _texts(rows, plan.left_out, out, config)
        lists = left_out_file(out)
        # Its reasons are ffmpeg's, which may say them otherwise now; nobody edits that list.
        if is_plain_file(lists) and lists.read_text("utf-8", "replace").startswith(_LEFT_OUT_HEADER):
            texts[lists.name] = lists.read_text("utf-8", "replace")
        return texts

    claim_files(out, _NAMES, expected)


def write_manifests(
    rows: Mapping[Split, Sequence[TrackRow]],
    left_out: Sequence[LeftOut],
    out: Path,
    config: ModelConfig,
    *,
    overwrite: bool = False,
) -> dict[Split, Path]:
    """Write ``train.csv``, ``validation.csv``, ``test.csv`` and ``left_out.csv`` into ``out``.

    Args:
        rows: The songs of each split; one without songs gets a manifest without rows.
        left_out: The songs that could not be used; none: ``left_out.csv`` is removed.
        out: Folder of the manifests.
        config: Names the columns.
        overwrite: Replace also what no ingest wrote.

    Returns:
        The manifest of each split.

    Raises:
        DatasetError: no song is left, or a file there is somebody else's; nothing is written then.
    """
    if not any(rows.values()):
        raise refusal(left_out)
    texts = _texts(rows, left_out, out, config)
    if not overwrite:
        claim_files(out, _NAMES, lambda: texts)
    remove_leftovers(out)
    record_files(out, texts)
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
    if left_out:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows((song.song, song.reason, song.cure) for song in left_out)
        texts[_LEFT_OUT_FILE] = _LEFT_OUT_HEADER + text.getvalue()
    return texts


def left_out_file(out: Path) -> Path:
    """The list of the songs that the last ingest into ``out`` left out; there is none if it took them all."""
    return out / _LEFT_OUT_FILE


def _csv(split: Split) -> str:
    return f"{split}.csv"


_NAMES = [*map(_csv, SPLITS), _LEFT_OUT_FILE]
