"""What tells that files have changed."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from sepcore.errors import DatasetError


def file_fingerprint(files: Iterable[Path]) -> str:
    """Sixteen hex digits of every byte of the files, in their order; DatasetError for one that cannot be opened."""
    digest = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror}); mend the row that names it.") from error
    return digest.hexdigest()[:16]
