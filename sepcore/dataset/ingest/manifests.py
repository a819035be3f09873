"""What an ingest ends with: a manifest for each split, and the list of the songs that were left out."""

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from sepcore.atomic import remove_leftovers, write_text
from sepcore.config import ModelConfig
from sepcore.dataset.ingest.recording import SPLITS, Split
from sepcore.dataset.ingest.targets import LeftOut, refusal
from sepcore.dataset.manifest import TrackRow, save_manifest

_LEFT_OUT_FILE = "left_out.csv"
logger = logging.getLogger(__name__)


def write_manifests(
    rows: Mapping[Split, Sequence[TrackRow]], left_out: Sequence[LeftOut], out: Path, config: ModelConfig
) -> dict[Split, Path]:
    """Write ``train.csv``, ``validation.csv``, ``test.csv`` and ``left_out.csv`` into ``out``.

    Args:
        rows: The songs of each split; one without songs gets a manifest without rows.
        left_out: The songs that could not be used; none: ``left_out.csv`` is removed.
        out: Folder of the manifests.
        config: Names the columns.

    Returns:
        The manifest of each split.

    Raises:
        DatasetError: no song is left; nothing is written then.
    """
    if not any(rows.values()):
        raise refusal(left_out)
    remove_leftovers(out)
    manifests: dict[Split, Path] = {}
    for split in SPLITS:
        manifests[split] = out / f"{split}.csv"
        save_manifest(manifests[split], rows.get(split, ()), config)
        if not rows.get(split):
            logger.warning("%s: the set has no %s songs", manifests[split], split)
    if left_out:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([("song", "reason", "cure"), *((song.song, song.reason, song.cure) for song in left_out)])
        write_text(left_out_file(out), text.getvalue())
    else:
        left_out_file(out).unlink(missing_ok=True)
    return manifests


def left_out_file(out: Path) -> Path:
    """The list of the songs that the last ingest into ``out`` left out; there is none if it took them all."""
    return out / _LEFT_OUT_FILE
