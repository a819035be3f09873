"""Reading a model's tarball without unpacking it; no header in it may fill the memory."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Names as long as those of a model's files need a header of a few hundred bytes; tarfile takes a whole header into
# memory.
_LARGEST_READ = 1 << 20
_LARGEST_TEXT = 1_000_000


class _BoundedGzipFile(gzip.GzipFile):
    """Refuses a header that claims to be larger than any honest one; content is read in small blocks."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _LARGEST_READ:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


@contextmanager
def open_archive(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open a ``.tar.gz`` to go through its members once.

    Raises:
        tarfile.TarError: the file, or what is read of it in the block, is no whole tarball, or damaged.
        OSError: it cannot be read.
    """
    try:
        with _BoundedGzipFile(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            yield tar
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise tarfile.ReadError(str(error)) from error


def read_member(archive: Path, name: str) -> str | None:
    """The text of the first plain file called ``name``, in whatever folder of the tarball; None if there is none.

    Raises:
        OSError: the file cannot be read, or is no tarball (with the reason in its text).
        UnicodeDecodeError: the member is no text.
    """
    try:
        with open_archive(archive) as tar:
            for member in tar:
                if member.isfile() and Path(member.name).name == name and member.size < _LARGEST_TEXT:
                    file = tar.extractfile(member)
                    assert file is not None  # of a plain file there is one
                    return file.read().decode("utf-8")
    except tarfile.TarError as error:
        raise OSError(str(error)) from error
    return None
