"""Pack model tarballs reproducibly, and unpack them so that no archive can do harm."""

import shutil
import tarfile
import unicodedata
import zlib
from collections.abc import Mapping
from io import SEEK_END, BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sepcore.errors import ProviderError
from sepcore.system.archive_reader import open_archive, read_to_end
from sepcore.system.foreign import shortened
from sepcore.system.printable import is_printable

# Spleeter's models hold 80 to 200 MB in four files; a bomb would hold more.
MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 1000
# Disks take names of 255 bytes; members are unpacked into folders with names of their own.
_MAX_NAME = 200
# In seconds since 1970: the year 2242.
_LATEST = 2**33
_PICKLES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill"})
# How pickles of protocol 2 to 5 begin and end. TensorFlow's own files of weights may begin with anything.
_PICKLE_STARTS, _PICKLE_END = tuple(bytes((0x80, protocol)) for protocol in range(2, 6)), b"."

# No flags, no time, no name, unknown system (RFC 1952).
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(5) + b"\x00\xff"
_GZIP_BLOCK = 0xFFFF  # the most that a stored block of deflate holds (RFC 1951)


def pack_archive(members: Mapping[str, bytes | Path], archive: Path) -> None:
    """Write a ``.tar.gz`` whose bytes depend only on its members' names and content.

    Args:
        members: Content, or the file that holds it, by name in the archive. Written in the order of their names, with
            fixed times, owners and permissions.
        archive: File to write.
    """
    with archive.open("wb") as file:
        stored = _StoredGzip(file)
        with tarfile.TarFile(fileobj=stored, mode="w", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[arg-type]
            for name, content in sorted(members.items()):
                info = tarfile.TarInfo(name)  # its defaults: time 0, owner 0, no owner's name, permissions 0644
                info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
                with BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
                    tar.addfile(info, source)
        stored.close()


class _StoredGzip:
    """Writes gzip's format without compression, in blocks of one size, since builds of zlib compress differently.

    Weights in floating point would shrink by a tenth at most.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = bytearray()
        self._crc = 0
        self._size = 0
        file.write(_GZIP_HEADER)

    def write(self, content: bytes) -> int:
        """Add the next bytes of the content."""
        self._crc = zlib.crc32(content, self._crc)
        self._size += len(content)
        self._pending += content
        while len(self._pending) > _GZIP_BLOCK:
            self._write_block(bytes(self._pending[:_GZIP_BLOCK]), is_last=False)
            del self._pending[:_GZIP_BLOCK]
        return len(content)

    def tell(self) -> int:
        """Bytes of content so far."""
        return self._size

    def close(self) -> None:
        """End the file, which stays open."""
        self._write_block(bytes(self._pending), is_last=True)
        self._file.write(self._crc.to_bytes(4, "little") + (self._size % 2**32).to_bytes(4, "little"))

    def _write_block(self, content: bytes, *, is_last: bool) -> None:
        size = len(content)
        self._file.write(bytes([is_last]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"))
        self._file.write(content)


# Debian 12's Python 3.11.2 has no filters yet (3.11.4 has). There only `_fault` guards: it lets only plain files with
# names below the folder pass, and their modes and owners are not applied.
_EXTRACTION: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {"set_attrs": False}


def unpack_archive(archive: Path, folder: Path, origin: str | None = None) -> None:
    """Unpack a model's ``.tar.gz`` into ``folder``, without a single top-level folder and without hidden files.

    Hidden files are programs' marks of a model's origin, which would be false, and a Mac's file attributes
    (``._model.index``).

    Args:
        archive: Read once; nothing in it is run or loaded.
        folder: Exists, and is removed by the caller after an error.
        origin: What to call the archive in messages; by default its name.

    Raises:
        ProviderError: if the archive is damaged, has a member that is no plain file or folder, that would land
            outside ``folder`` or on another one or that is a pickle, or if it holds more than `MAX_BYTES` or
            `MAX_MEMBERS`.
    """
    origin = origin or archive.name
    scratch = folder / ".unpacking"
    scratch.mkdir()
    try:
        with open_archive(archive) as tar:
            total_bytes, taken = 0, set[str]()
            # One pass: every member is judged by its header before its content is decompressed.
            for count, member in enumerate(tar, start=1):
                total_bytes += member.size
                reason = _fault(member, count, total_bytes, taken)
                if not reason and not is_hidden(member.name):
                    tar.extract(member, scratch, **_EXTRACTION)
                    reason = _pickle(member.name) if _is_pickle(scratch / member.name) else None
                if reason:
                    hint = "Use an archive that holds only a model's config and checkpoint."
                    raise ProviderError(f"refused because {reason}", path=origin, hint=hint)
            read_to_end(tar)
    except (tarfile.TarError, FileExistsError, NotADirectoryError, IsADirectoryError, OverflowError) as error:
        raise ProviderError(
            f"not a complete .tar.gz ({error})", path=origin, hint="Download or build it again."
        ) from error
    top = list(scratch.iterdir())
    root = top[0] if len(top) == 1 and top[0].is_dir() else scratch
    for child in root.iterdir():
        child.replace(folder / child.name)
    shutil.rmtree(scratch)


def is_hidden(name: str) -> bool:
    """Whether a member, or a folder that it lies in, is hidden."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _fault(member: tarfile.TarInfo, count: int, total_bytes: int, taken: set[str]) -> str | None:
    """Why an archive with this member is refused; ``taken`` are the names of the files before it."""
    path, name = PurePosixPath(member.name), shortened(member.name)
    if not (member.isreg() or member.isdir()) or member.issparse():
        return f"{name} is neither a plain file nor a folder"
    if path.is_absolute() or ".." in path.parts or "\0" in member.name or "\\" in member.name:
        return f"{name} leads out of the model's folder"
    if not is_printable(member.name) or len(member.name.encode()) > _MAX_NAME:
        return f"{name} is not a valid name for a model's file"
    if path.suffix.lower() in _PICKLES:
        return _pickle(member.name)
    if not 0 <= member.mtime < _LATEST:
        return f"{name} has an impossible modification time"
    if count > MAX_MEMBERS:
        return f"it has more than {MAX_MEMBERS} members"
    if total_bytes > MAX_BYTES:
        return f"it holds more than {MAX_BYTES / 2**30:.0f} GiB"
    # Some disks take Model and model for one name, and é for e with an accent.
    place = unicodedata.normalize("NFC", str(path)).casefold()
    if member.isreg():
        if place in taken:
            return f"{name} would overwrite another of its files"
        taken.add(place)
    return None


def _is_pickle(path: Path) -> bool:
    """Whether a file's content is one, whatever it is called."""
    if path.is_dir() or path.suffix == ".index" or ".data-" in path.name:
        return False
    with path.open("rb") as file:
        if not file.read(2).startswith(_PICKLE_STARTS):
            return False
        file.seek(-1, SEEK_END)
        return file.read() == _PICKLE_END


def _pickle(name: str) -> str:
    return f"{shortened(name)} is a pickle, which could run code"
