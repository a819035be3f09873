"""Read a model's tarball without trusting it: nothing in it may fill the memory or keep the reader busy forever."""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sepcore.system.foreign import MAX_BYTES as _LARGEST_TEXT
from sepcore.system.foreign import shortened

BLOCK = 1 << 16
"""The most that is read at once."""
# Weights shrink by a tenth and a graph in text by nine tenths; what shrinks to a thousandth is made to fill a disk.
_FREE_BYTES, _MAX_RATIO = 64 * 2**20, 20
# tarfile takes an extended header into memory as a whole, and searches it in time that grows with the square of its
# size. A path has at most 4096 bytes; the tar of a Mac adds some hundred bytes to each file.
_MAX_HEADER, _MAX_HEADERS, _MAX_HEADERS_IN_A_ROW = 1 << 12, 1 << 16, 8
# A member takes some reads of a block or less; the map of a sparse file, which no model has, takes any number.
_MAX_SMALL_READS, _MAX_SMALL_READS_OF_A_MEMBER = 8000, 64
_EXTENDED = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
# What tarfile raises, beside its own errors, at a header that makes no sense.
_NONSENSE = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)


class _Stream:
    """The content of a ``.tar.gz``, read once from beginning to end, and no more of it than is allowed."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._gzip = gzip.GzipFile(fileobj=file, mode="rb")
        self._position = 0
        self._num_small_reads = 0
        self._most_small_reads = _MAX_SMALL_READS_OF_A_MEMBER
        self._most_bytes = most_bytes

    def read(self, size: int) -> bytes:
        if not 0 <= size <= BLOCK:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self._num_small_reads += size <= tarfile.BLOCKSIZE
        if self._num_small_reads > self._most_small_reads:
            raise tarfile.ReadError("more headers than a model has files")
        try:
            content = self._gzip.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise tarfile.ReadError(str(error)) from error
        self._position += len(content)
        if self._position > self._most_bytes:
            raise tarfile.ReadError(f"it unpacks to more than {_MAX_RATIO} times its size")
        return content

    def seek(self, position: int) -> None:
        # Only a false size leads back: tarfile would read the same members forever.
        if position < self._position or position > self._most_bytes:
            raise tarfile.ReadError("a size that leads out of the file")
        while self._position < position and self.read(min(position - self._position, BLOCK)):
            pass

    def begin_member(self) -> None:
        self._most_small_reads = min(_MAX_SMALL_READS, self._num_small_reads + _MAX_SMALL_READS_OF_A_MEMBER)

    def tell(self) -> int:
        return self._position


class _Header(tarfile.TarInfo):
    @classmethod
    def fromtarfile(cls, archive: "_Archive") -> tarfile.TarInfo:  # type: ignore[override]
        try:
            return super().fromtarfile(archive)
        except (tarfile.EOFHeaderError, tarfile.EmptyHeaderError):  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:  # behind the first member, tarfile would take it for the end
            raise tarfile.ReadError(str(error)) from error

    def _proc_member(self, archive: "_Archive") -> Any:  # tarfile leaves this method to subclasses
        if self.type in _EXTENDED:
            archive.count_extended(self.size)
        if self.type == tarfile.GNUTYPE_SPARSE:  # its map follows, of any length
            raise tarfile.ReadError(f"{shortened(self.name)} is neither a plain file nor a folder")
        return super()._proc_member(archive)  # type: ignore[misc]


class _Archive(tarfile.TarFile):
    """A tarball whose headers are refused where they make no sense."""

    fileobj: _Stream  # type: ignore[assignment]
    tarinfo = _Header
    _extended_bytes = 0
    _extended_in_a_row = 0

    def count_extended(self, size: int) -> None:
        self._extended_bytes += size
        self._extended_in_a_row += 1
        if not 0 <= size <= _MAX_HEADER or self._extended_bytes > _MAX_HEADERS:
            raise tarfile.ReadError(f"a header of {size} bytes")
        if self._extended_in_a_row > _MAX_HEADERS_IN_A_ROW:
            raise tarfile.ReadError("a chain of headers without a file")

    def next(self) -> tarfile.TarInfo | None:
        """The next member, or None behind the last."""
        self._extended_in_a_row = 0
        self.fileobj.begin_member()
        try:
            member = super().next()
        except _NONSENSE as error:
            raise tarfile.ReadError(f"a header that makes no sense: {shortened(str(error))}") from error
        if member is not None and member.size < 0:
            raise tarfile.ReadError(f"a member of {member.size} bytes")
        return member


def read_to_end(archive: tarfile.TarFile) -> None:
    """Read the rest of an open archive, since gzip's checksum is at the end.

    Raises:
        tarfile.TarError: it is damaged, or something other than zeros follows the last member.
    """
    assert archive.fileobj is not None
    for _ in archive:
        pass
    while block := archive.fileobj.read(BLOCK):
        if block.strip(b"\0"):
            raise tarfile.ReadError("something that is no file follows the last one")


@contextmanager
def open_archive(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open a ``.tar.gz`` to go through its members once, in order.

    Raises:
        tarfile.TarError: here or in the block: it is not a whole tarball, damaged or harmful.
        OSError: it cannot be read.
    """
    with archive.open("rb") as file:
        most_bytes = _FREE_BYTES + _MAX_RATIO * archive.stat().st_size
        with _Archive(fileobj=_Stream(file, most_bytes), mode="r") as tar:  # type: ignore[arg-type]
            yield tar


def read_member(archive: Path, name: str, *, check_all: bool = False) -> str | None:
    """The text of the plain file called ``name``; None if there is none.

    Args:
        archive: The tarball.
        name: Of the file. If several folders have one, the topmost counts, as when it is unpacked.
        check_all: Read the whole archive, to find any damage.

    Raises:
        OSError: the file cannot be read, or is no tarball (with the reason in its text).
        UnicodeDecodeError: the member is no text.
    """
    found, found_depth = None, 0
    try:
        with open_archive(archive) as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.name != name or not is_plain_file(member) or member.size >= _LARGEST_TEXT:
                    continue
                if found is None or len(path.parts) < found_depth:
                    found, found_depth = b"".join(member_blocks(tar, member)), len(path.parts)
                if found_depth == 1:
                    break
            if check_all:
                read_to_end(tar)
    except tarfile.TarError as error:
        raise OSError(str(error)) from error
    return None if found is None else found.decode("utf-8")


def is_plain_file(member: tarfile.TarInfo) -> bool:
    """Whether a member is a regular file and not sparse: the map of a sparse one may have no end."""
    return member.isreg() and not member.issparse()


def member_blocks(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """The content of a plain file, the current member of an open archive."""
    file = archive.extractfile(member)
    assert file is not None  # plain files have one
    while block := file.read(BLOCK):
        yield block
