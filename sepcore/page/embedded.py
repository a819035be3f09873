"""Files inside a page that is longer than memory should be."""

import base64
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

_BLOCK_BYTES = 3 << 18  # a multiple of 3, or base64 would pad each block


class EmbeddedFiles:
    """The files of a page, which come into it only as it is written, block by block."""

    def __init__(self) -> None:
        # Of chance, so that no text of the page can be taken for it.
        self._mark = f"[file {uuid.uuid4().hex} "
        self._files: list[Path] = []

    def place(self, path: Path) -> str:
        """What stands in the page in place of a file; `pieces` replaces it."""
        self._files.append(path)
        return f"{self._mark}{len(self._files) - 1}]"

    def pieces(self, document: str) -> Iterator[bytes]:
        """The document as UTF-8, with each file as base64 in its place.

        Args:
            document: A page with what `place` gave.

        Raises:
            OSError: if a file cannot be read.
        """
        parts = re.split(rf"{re.escape(self._mark)}(\d+)\]", document)
        for text, number in zip(parts[::2], (*parts[1::2], None), strict=True):
            yield text.encode()
            if number is not None:
                with self._files[int(number)].open("rb") as file:
                    while block := file.read(_BLOCK_BYTES):
                        yield base64.b64encode(block)
