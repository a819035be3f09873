"""What an ingest wrote into its folder, known again by its content: a file that was edited since is the user's."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from sepcore.errors import DatasetError
from sepcore.provider.checksum import file_sha256
from sepcore.system.atomic import write_text
from sepcore.system.ownership import is_plain_file, shown_names

_RECORD_FILE = ".ingest.json"

Texts = Mapping[str, str]
"""The content of files by their names."""


def claim_files(out: Path, names: list[str], expected: Callable[[], Texts]) -> None:
    """See that files may be replaced: they are what an ingest wrote, or what it would write now.

    Args:
        out: Their folder.
        names: The files, which need not be there.
        expected: What an ingest would write; asked only for files of which there is no record, as earlier versions left
            them. One that is the same is recorded from now on.

    Raises:
        DatasetError: one line with the names of those that somebody else wrote or edited.
    """
    record = _read(out)
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
    _write(out, record | {name: [same[name]] for name in unknown})


def record_files(out: Path, texts: Texts) -> None:
    """Record what an ingest is about to write, beside what it wrote before: killed in between, it knows both again.

    What stands there and is somebody else's is not recorded, even where it may be replaced: brought back, it is theirs.
    """
    record = _read(out)
    now = {name: _digest(out / name) for name in texts}
    before = {name: [digest for digest in record.get(name, ()) if digest == now[name]] for name in texts}
    _write(out, record | {name: list(dict.fromkeys([_digest_of(texts[name]), *before[name]])) for name in texts})


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; None for anything else, such as a link."""
    return file_sha256(path) if is_plain_file(path) else None


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(out: Path) -> dict[str, list[str]]:
    try:
        content = json.loads((out / _RECORD_FILE).read_bytes())
        return {str(name): [str(digest) for digest in digests] for name, digests in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(out: Path, record: Mapping[str, list[str]]) -> None:
    if record != _read(out):  # an ingest that finds all done writes nothing
        write_text(out / _RECORD_FILE, json.dumps(record, indent=2) + "\n")
