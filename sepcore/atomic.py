"""Writes that a killed process cannot leave half done: a temporary name in the same folder, then a rename."""

import errno
import os
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_PREFIX = ".tmp"
# Machines may share the folder: whether a process is alive is known of this one's only.
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_ABANDONED_S = 86_400

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""How the system says that a disk takes no more."""


def _temporary_name(path: Path) -> Path:
    # Short whatever the length of the real name; the suffix stays, since ffmpeg chooses the format by it.
    return path.parent / f"{_PREFIX}-{os.getpid()}.{_HOST}-{uuid.uuid4().hex[:8]}{path.suffix}"


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder; after an error what was made goes again, unless somebody else has put something there."""
    made = [missing for missing in (folder, *folder.parents) if not missing.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for empty in made:
                empty.rmdir()
        raise


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file name beside ``path`` and move it there when the block ends without an error.

    Args:
        path: Where the file shall stand; its folder is made.

    Yields:
        A name in the same folder, with the same suffix, of which no file exists yet. After an error whatever stands
        there is removed and ``path`` and its folder are as they were.
    """
    temporary = _temporary_name(path)
    with made_folder(path.parent):
        try:
            yield temporary
            temporary.replace(path)
        except OSError as error:
            if error.filename is None and error.errno in DISK_FULL:  # of a write, which knows no name
                error.filename = str(path)
            raise
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` to ``path`` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path`` and rename it to ``path`` when the block ends without an error.

    An existing ``path`` is moved aside first and removed after: a process that dies between the two renames leaves no
    folder, never a mixture of two.
    """
    temporary, replaced = _temporary_name(path), _temporary_name(path)
    with made_folder(path.parent):
        temporary.mkdir()
        try:
            yield temporary
            if path.exists():
                path.replace(replaced)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder in the folder of ``path``, which is made; it is removed when the block ends.

    After an error the folder of ``path`` is as it was, and gone if it was made.
    """
    temporary = _temporary_name(path)
    with made_folder(path.parent):
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders that dead processes left in ``folder`` (not below it).

    Those of other machines that share the folder are removed when they have not changed for a day.
    """
    for leftover in folder.glob(f"{_PREFIX}-*"):
        if _is_abandoned(leftover):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _is_abandoned(leftover: Path) -> bool:
    pid, _, host = leftover.name.split("-")[1].partition(".")
    if not pid.isdigit():
        return False
    if host in ("", _HOST):
        return not psutil.pid_exists(int(pid))
    return _is_stale(leftover)


def remove_stale(files: Iterable[Path]) -> None:
    """Remove those of some files that nobody has written to for a day."""
    for file in files:
        if _is_stale(file):
            file.unlink(missing_ok=True)


def _is_stale(path: Path) -> bool:
    with suppress(FileNotFoundError):  # its process has just finished
        return time.time() - path.stat().st_mtime > _ABANDONED_S
    return False
