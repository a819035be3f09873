"""Which files of a folder this project wrote: only those may be replaced or removed."""

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, count
from pathlib import Path

from sepcore.system.file_names import LONGEST_NAME, shortened
from sepcore.system.printable import first_few, printable

_logger = logging.getLogger(__name__)
_SHOWN = 3

OwnFiles = Callable[[Path], Collection[str]]
"""Gives the files of a folder that this project wrote, by their paths in it (``sub/name``); they need not be there."""


def foreign_content(folder: Path, own: Collection[str]) -> list[str]:
    """What is in a folder but not among ``own``, paths of files in it: sorted paths, hidden files too.

    Links, folders without a file of ours, and what is neither file nor folder are always foreign.
    """
    return sorted(_foreign(folder, "", frozenset(own))) if folder.is_dir() else []


def _foreign(folder: Path, prefix: str, own: Collection[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in list(entries):
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if any(file.startswith(f"{name}/") for file in own):
                    yield from _foreign(Path(entry.path), f"{name}/", own)
                else:
                    yield name
            elif name not in own or not entry.is_file(follow_symlinks=False):
                yield name


def is_real_folder(path: Path) -> bool:
    """Whether a folder lies there, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def is_plain_file(path: Path) -> bool:
    """Whether a file lies there: no link to one, no pipe, no device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def shown_names(names: Iterable[str]) -> str:
    """Some names for a message, on one line: ``a, b, c and 4 more``."""
    return first_few([printable(name) for name in names], _SHOWN)


def replace_folder(path: Path, new: Path, own_files: OwnFiles, aside: Path) -> None:
    """Rename ``new`` to ``path``. Our own files of the old folder are removed, all others move to the new one.

    Args:
        path: Place of the new folder. A link or a file there is an error.
        new: A folder beside it.
        own_files: Of the old folder.
        aside: Name for the old folder meanwhile, beside it; nothing has it.

    Raises:
        OSError: if it cannot be done; the old folder is where it was.
    """
    if not is_real_folder(path):
        new.replace(path)  # refused where a link or a file is
        return
    own = frozenset(own_files(path))
    # Under a temporary name the next command would remove it, with the files that are not ours.
    kept = _kept_name(path) if foreign_content(path, own) else None
    aside = kept or aside
    path.replace(aside)
    try:
        new.replace(path)
    except BaseException:
        aside.replace(path)
        raise
    for name in foreign_content(aside, own):
        if not os.path.lexists(path / name):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (aside / name).rename(path / name)
    remove_own(aside, own)
    # On NFS a removed file that somebody still reads keeps such a name until it is closed.
    if any(not Path(name).name.startswith(".nfs") for name in foreign_content(aside, own)):
        if not kept:
            kept = _kept_name(path)
            aside.replace(kept)
        there, kept_in = printable(path), printable(kept)
        _logger.warning("%s: replaced; what this program did not write is kept in %s", there, kept_in)


def remove_own(folder: Path, own: Collection[str]) -> None:
    """Remove the files ``own`` of a folder, then all empty folders, also the folder itself."""
    try:
        for root, _, files in os.walk(folder, topdown=False):
            here = Path(root)
            for file in (here / name for name in files):
                if file.relative_to(folder).as_posix() in own and is_plain_file(file):
                    file.unlink()
            if not any(here.iterdir()):
                here.rmdir()
    except OSError as error:  # the new folder is in place; a later command can clear up the old one
        _logger.debug("%s: cannot be cleared up (%s)", printable(folder), printable(error))


def _kept_name(path: Path) -> Path:
    endings = chain([".kept"], (f".kept-{number}" for number in count(2)))
    names = (f"{shortened(path.name, LONGEST_NAME - len(ending))}{ending}" for ending in endings)
    return next(kept for name in names if not os.path.lexists(kept := path.with_name(name)))
