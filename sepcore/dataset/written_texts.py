"""Which texts of a folder a command wrote, such as manifests: one that somebody edited is theirs, and not replaced."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sepcore.provider.checksum import file_sha256
from sepcore.system.atomic import write_text
from sepcore.system.ownership import is_plain_file


class WrittenTexts:
    """The SHA-256 of each text that a command wrote into a folder, in a hidden JSON file there."""

    def __init__(self, folder: Path, record_file: str) -> None:
        self._folder, self._record_file = folder, folder / record_file

    def foreign(self, names: Iterable[str], expected: Callable[[], Mapping[str, str]] = dict) -> list[str]:
        """The files of these names that are there but not ours: neither recorded nor with the ``expected`` text.

        Those with the expected text, by name, are recorded: earlier versions kept no record.
        """
        record = self._read()
        there = {name: _digest(self._folder / name) for name in names if os.path.lexists(self._folder / name)}
        unknown = [name for name, digest in there.items() if digest not in record.get(name, ())]
        if not unknown:
            return []
        same = {name: _digest_of(text) for name, text in expected().items()}
        foreign = [name for name in unknown if there[name] is None or there[name] != same.get(name)]
        if not foreign:
            self._write(record | {name: [same[name]] for name in unknown})
        return foreign

    def record(self, texts: Mapping[str, str]) -> None:
        """Record both the texts to be written and the files that they replace, so that a killed command knows them.

        Only files that the command wrote: if somebody brings back a file of their own, it is still theirs.
        """
        record = self._read()
        updated = dict(record)
        for name, text in texts.items():
            now = _digest(self._folder / name)
            replaced = [now] if now is not None and now in record.get(name, ()) else []
            updated[name] = list(dict.fromkeys([_digest_of(text), *replaced]))
        self._write(updated)

    def _read(self) -> dict[str, list[str]]:
        try:
            content = json.loads(self._record_file.read_bytes())
            return {str(name): [str(digest) for digest in digests] for name, digests in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write(self, record: Mapping[str, list[str]]) -> None:
        if record != self._read():
            write_text(self._record_file, json.dumps(record, indent=2) + "\n")


def _digest(path: Path) -> str | None:
    return file_sha256(path) if is_plain_file(path) else None


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
