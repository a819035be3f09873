"""What an ingest ends with: a manifest for each split, and the list of the songs that were left out.

Files are recognized by their content: one that was edited since belongs to the user and is not replaced.
"""

import csv
import hashlib
import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.ingest.audio import finished_row
from sepcore.dataset.ingest.plan import IngestPlan
from sepcore.dataset.ingest.songs import SPLITS, Split
from sepcore.dataset.ingest.targets import LeftOut, refusal
from sepcore.dataset.manifest import TrackRow, manifest_text
from sepcore.errors import DatasetError
from sepcore.provider.checksum import file_sha256
from sepcore.system.atomic import remove_leftovers, write_text
from sepcore.system.ownership import is_plain_file, shown_names

_LEFT_OUT_FILE = "left_out.csv"
_LEFT_OUT_HEADER = "song,reason,cure\n"
_RECORD_FILE = ".ingest.json"

Texts = Mapping[str, str]
"""The content of files by their names."""
logger = logging.getLogger(__name__)


def claim_manifests(out: Path, plan: IngestPlan, config: ModelConfig) -> None:
    """Refuse before any work to replace manifests in ``out`` that no ingest wrote or somebody edited.

    Raises:
        DatasetError: one line with the names of those that may not.
    """

    def expected() -> dict[str, str]:
        """What the finished songs give, which is what a version without records wrote."""
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

    _claim_files(out, _NAMES, expected)


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
        _claim_files(out, _NAMES, lambda: texts)
    remove_leftovers(out)
    _record_files(out, texts)
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
    """The list of the songs that the last ingest into ``out`` left out; it exists only if there are any."""
    return out / _LEFT_OUT_FILE


def _csv(split: Split) -> str:
    return f"{split}.csv"


_NAMES = [*map(_csv, SPLITS), _LEFT_OUT_FILE]


def _claim_files(out: Path, names: list[str], expected: Callable[[], Texts]) -> None:
    """Refuse to replace files other than those that an ingest wrote, or would write now.

    Args:
        out: Their folder.
        names: The files, which need not be there.
        expected: What an ingest would write; called only for files without a record, which earlier versions did not
            keep. Those that are the same are recorded.

    Raises:
        DatasetError: one line with the names of those that somebody else wrote or edited.
    """
    record = _read_record(out)
    there = {name: _digest(out / name) for name in names if (out / name).is_symlink() or (out / name).exists()}
    unknown = [name for name, digest in there.items() if digest not in record.get(name, ())]
    if not unknown:
        return
    same = {name: _digest_of(text) for name, text in expected().items()}
    foreign = [name for name in unknown if there[name] is None or there[name] != same.get(name)]
    if foreign:
        raise DatasetError(
            f"has {shown_names(foreign)}, which ingest did not write or somebody edited since",
            path=out,
            hint="Move it away, choose another --out, or replace it with `python -m flows.ingest --overwrite`.",
        )
    _write_record(out, record | {name: [same[name]] for name in unknown})


def _record_files(out: Path, texts: Texts) -> None:
    """Record what an ingest is about to write and what it wrote before, so that it recognizes both if it is killed.

    Somebody else's file is not recorded, even if it may be replaced: if it is brought back, it is still theirs.
    """
    record = _read_record(out)
    now = {name: _digest(out / name) for name in texts}
    before = {name: [digest for digest in record.get(name, ()) if digest == now[name]] for name in texts}
    _write_record(out, record | {name: list(dict.fromkeys([_digest_of(texts[name]), *before[name]])) for name in texts})


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None for anything else, such as a link."""
    return file_sha256(path) if is_plain_file(path) else None


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read_record(out: Path) -> dict[str, list[str]]:
    try:
        content = json.loads((out / _RECORD_FILE).read_bytes())
        return {str(name): [str(digest) for digest in digests] for name, digests in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_record(out: Path, record: Mapping[str, list[str]]) -> None:
    if record != _read_record(out):  # an ingest that finds all done writes nothing
        write_text(out / _RECORD_FILE, json.dumps(record, indent=2) + "\n")
