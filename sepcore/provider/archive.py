"""Model tarballs: packed so that the same files give the same bytes, unpacked so that no archive can do harm."""

import shutil
import tarfile
import unicodedata
import zlib
from collections.abc import Mapping
from io import SEEK_END, BytesIO
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Self

from sepcore.errors import ProviderError
from sepcore.system.archive_reader import open_archive, read_to_end
from sepcore.system.foreign import shortened
from sepcore.system.printable import is_printable

# Spleeter's models hold 80 to 200 MB in four files; a bomb would hold more.
MAX_BYTES = 4 * 2**30
MAX_MEMBERS = 1000
# Disks take names of 255 bytes; what is unpacked lies in folders of its own.
_MAX_NAME = 200
# In seconds since 1970: the year 2242.
_LATEST = 2**33
_PICKLES = frozenset({".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill"})
# How pickles of protocol 2 to 5 begin and end. Weights in TensorFlow's own files may begin as they like.
_PICKLE_STARTS, _PICKLE_END = tuple(bytes((0x80, protocol)) for protocol in range(2, 6)), b"."

# No flags, no time, no name, unknown system (RFC 1952).
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(5) + b"\x00\xff"
_GZIP_BLOCK = 0xFFFF  # the most that a stored block of deflate holds (RFC 1951)


def pack_archive(members: Mapping[str, bytes | Path], archive: Path) -> None:
    """Write a ``.tar.gz`` whose bytes depend on nothing but its members' names and content.

    Args:
        members: Content by name in the archive, or the file that holds it. Written in the order of their names, with
            fixed times, owners and permissions.
        archive: File to write.
    """
    with (
        archive.open("wb") as file,
        _StoredGzip(file) as stored,
        tarfile.TarFile(fileobj=stored, mode="w", format=tarfile.PAX_FORMAT) as tar,  # type: ignore[arg-type]
    ):
        for name in sorted(members):
            content = members[name]
            info = tarfile.TarInfo(name)  # its defaults: time 0, owner 0, no owner's name, permissions 0644
            if isinstance(content, bytes):
                info.size = len(content)
                tar.addfile(info, BytesIO(content))
            else:
                info.size = content.stat().st_size
                with content.open("rb") as source:
                    tar.addfile(info, source)


class _StoredGzip:
    """Writes gzip's format without compressing, in blocks of the same size however the content comes in.

    Builds of zlib compress the same bytes differently; weights in floating point would shrink by a tenth at most.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._pending = bytearray()
        self._crc = 0
        self._size = 0
        file.write(_GZIP_HEADER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.close()

    def write(self, content: bytes) -> int:
        """Take on the next bytes of the content."""
        self._crc = zlib.crc32(content, self._crc)
        self._size += len(content)
        self._pending += content
        while len(self._pending) > _GZIP_BLOCK:
            self._write_block(bytes(self._pending[:_GZIP_BLOCK]), is_last=False)
            del self._pending[:_GZIP_BLOCK]
        return len(content)

    def tell(self) -> int:
        """How much has been taken on."""
        return self._size

    def close(self) -> None:
        """End the file, which stays open."""
        self._write_block(bytes(self._pending), is_last=True)
        self._file.write(self._crc.to_bytes(4, "little") + (self._size % 2**32).to_bytes(4, "little"))

    def _write_block(self, content: bytes, *, is_last: bool) -> None:
        size = len(content)
        self._file.write(bytes([is_last]) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"))
        self._file.write(content)


# Debian 12's Python 3.11.2 has no filters yet (3.11.4 has). There `_fault` guards alone: it lets only plain files
# with names below the folder pass, and their modes and owners are not taken over.
_EXTRACTION: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {"set_attrs": False}


def unpack_archive(archive: Path, folder: Path, origin: str | None = None) -> None:
    """Unpack a model's ``.tar.gz`` into ``folder``; a single top-level folder in it is left out, and so is all hidden.

    Hidden files are marks of programs (Spleeter's and this one's of a model's origin) and a Mac's attributes of files
    (``._model.index``): none is part of a model, and a mark that came with it would be a lie.

    Args:
        archive: File to read. It is read once; nothing in it is run or loaded.
        folder: Exists and is removed by the caller after an error.
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
                if reason:
                    raise _refused(origin, reason)
                if is_hidden(member.name):
                    continue
                tar.extract(member, scratch, **_EXTRACTION)
                if _is_pickle(scratch / member.name):
                    raise _refused(origin, _pickle(member.name))
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


def _refused(origin: str, reason: str) -> ProviderError:
    return ProviderError(
        f"refused because {reason}",
        path=origin,
        hint="Use an archive that holds only a model's config and checkpoint.",
    )


def _fault(member: tarfile.TarInfo, count: int, total_bytes: int, taken: set[str]) -> str | None:
    """Why an archive with this member is not unpacked; ``taken`` are the names of the files before it."""
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
    # As a disk sees it that takes Model and model for one name, and é for e with an accent.
    place = unicodedata.normalize("NFC", str(path)).casefold()
    if member.isreg() and place in taken:
        return f"{name} would overwrite another of its files"
    if member.isreg():
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
