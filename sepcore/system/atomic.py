"""Writes that a killed process cannot leave half done: to a temporary name in the same folder, then a rename."""

import logging
import os
import re
import shutil
import socket
import uuid
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from sepcore.errors import ConfigError
from sepcore.system.os_errors import DISK_FULL, fix_for, reason_of
from sepcore.system.ownership import OwnFiles, is_plain_file, is_real_folder, replace_folder
from sepcore.system.printable import printable

_logger = logging.getLogger(__name__)


def _own_host() -> str:
    """Eight hex digits of this machine or, where containers share its name, of this container."""
    place = socket.gethostname()
    with suppress(OSError):  # no Linux
        place += str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(place.encode()):08x}"


# Machines may share a folder, but only this one's processes are known to be alive or dead.
_HOST = _own_host()
_ABANDONED_S = 86_400
# Longer than any that ffmpeg knows: what is longer only follows a dot in a name.
_LONGEST_SUFFIX = 16

TEMPORARY_NAME = re.compile(r"\.tmp-(?P<pid>[1-9][0-9]{0,8})(\.(?P<host>[0-9a-f]{8}))?-[0-9a-f]{8}(\.[^./]*)?")
"""Names of temporary files and folders; nothing else is taken for one. The first version named no host."""


def _temporary_name(path: Path) -> Path:
    # Short whatever the length of the real name; the suffix stays, since ffmpeg chooses the format by it.
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX else ""
    return path.parent / f".tmp-{os.getpid()}.{_HOST}-{uuid.uuid4().hex[:8]}{suffix}"


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder; after an error it is removed again if it was made here and is empty."""
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

    The folder of ``path`` is made; the name has the same suffix, if that is short, and no file has it yet. After an
    error the temporary file is removed, and ``path`` and its folder are as they were.
    """
    temporary = _temporary_name(path)
    with made_folder(path.parent):
        try:
            yield temporary
            temporary.replace(path)
        except OSError as error:
            if error.filename is None and error.errno in DISK_FULL:  # a failed write knows no name
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
def atomic_folder(path: Path, own_files: OwnFiles) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path`` and rename it to ``path`` when the block ends without an error.

    An existing ``path`` is moved aside first, and only ``own_files`` of it are removed: other files move to the new
    folder. If their names are taken there, the old folder is kept under another name, which is logged. A process that
    dies between the two renames leaves no folder, never a mixture of two.
    """
    with temporary_folder(path) as temporary:
        yield temporary
        replace_folder(path, temporary, own_files, _temporary_name(path))


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``, and remove it when the block ends; the folder of ``path`` is made.

    After an error the folder of ``path`` is as it was, and removed if it was made.
    """
    temporary = _temporary_name(path)
    with made_folder(path.parent):
        temporary.mkdir()
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_probe(folder: Path) -> float:
    """Write a file to a folder and remove it; when that was by the file system's clock, in seconds since 1970."""
    probe = _temporary_name(folder / "probe")
    probe.touch(exist_ok=False)
    written = probe.stat().st_mtime
    probe.unlink()
    return written


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders that dead processes left in ``folder`` (not below it).

    Those of other machines that share the folder are removed when they have not changed for a day. Only this module's
    names are touched, and no links. What cannot be removed stays.
    """
    dead: list[Path] = []
    elsewhere: list[Path] = []
    for path in folder.glob(".tmp-*"):
        if named := TEMPORARY_NAME.fullmatch(path.name):
            if named["host"] not in (None, _HOST):
                elsewhere.append(path)
            elif not psutil.pid_exists(int(named["pid"])):
                dead.append(path)
    for leftover in [*dead, *stale(elsewhere)]:
        try:
            if is_real_folder(leftover):
                shutil.rmtree(leftover)
            elif is_plain_file(leftover):
                leftover.unlink(missing_ok=True)
        except OSError as error:
            _logger.debug("%s: cannot be removed (%s)", printable(leftover), printable(error))


def stale(paths: Iterable[Path]) -> list[Path]:
    """The files and folders, all in one folder, that nobody has written to for a day.

    The day is counted by the clock that stamps the files, the server's where machines share them: this machine's clock
    may have jumped or differ by years.
    """
    candidates, found = list(paths), []
    if not candidates:
        return []
    try:
        now = _write_probe(candidates[0].parent)
    except OSError:
        return []  # nothing can be removed there either
    for path in candidates:
        with suppress(FileNotFoundError):  # its process has just finished
            inside = path.rglob("*") if is_real_folder(path) else []
            if now - max(one.lstat().st_mtime for one in (path, *inside)) > _ABANDONED_S:
                found.append(path)
    return found


def check_writable(folder: Path, option: str) -> None:
    """Make ``folder`` if need be and write to it once; ConfigError, which names ``option``, if that is impossible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_probe(folder)
    except OSError as error:
        raise ConfigError(
            f"cannot be written to ({reason_of(error)})",
            path=folder,
            hint=f"{fix_for(error)}, or choose another folder with {option}.",
            errno=error.errno,
        ) from error
