"""One small text file out of a model's tarball, without unpacking it."""

import tarfile
import zlib
from pathlib import Path

_LARGEST = 1_000_000


def read_member(archive: Path, name: str) -> str | None:
    """The text of the first plain file called ``name``, in whatever folder of the tarball; None if there is none.

    Raises:
        OSError: the file cannot be read, or is no tarball (with the reason in its text).
        UnicodeDecodeError: the member is no text.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if member.isfile() and Path(member.name).name == name and member.size < _LARGEST:
                    file = tar.extractfile(member)
                    assert file is not None  # of a plain file there is one
                    return file.read().decode("utf-8")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise OSError(str(error)) from error
    return None
