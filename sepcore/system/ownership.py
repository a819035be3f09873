"""Which files of a folder this project wrote: only those may be replaced or removed, everything else is somebody's."""

import logging
import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from sepcore.system.printable import first_few, printable

_logger = logging.getLogger(__name__)
_SHOWN = 3

OwnFiles = Callable[[Path], Collection[str]]
"""Gives the files of a folder that this project wrote, by their paths in it (``sub/name``); they need not be there."""


def foreign_content(folder: Path, own: Collection[str]) -> list[str]:
    """What lies in a folder that is not among ``own``, by its path in the folder, sorted; hidden files too.

    Links, folders without a file of ours and what is neither file nor folder are always foreign.

    Args:
        folder: A missing one has nothing in it.
        own: Paths in the folder of the files that this project wrote.
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
    """Some names for a message, in one line whatever characters they have: ``a, b, c and 4 more``."""
    return first_few([printable(name) for name in names], _SHOWN)


def replace_folder(path: Path, new: Path, own_files: OwnFiles, aside: Path) -> None:
    """Rename ``new`` to ``path``. What this project wrote of the old folder goes; what it did not write stays there.

    Args:
        path: Where the new folder shall stand. A link there, or a file, is an error.
        new: A folder beside it.
        own_files: Of the old folder.
        aside: Where the old folder is meanwhile, beside it; nothing lies there.

    Raises:
        OSError: if it cannot be done; the old folder is where it was.
    """
    if not is_real_folder(path):
        new.replace(path)  # refused where a link or a file is
        return
    own = frozenset(own_files(path))
    if foreign_content(path, own):
        # Under a temporary name the next command would remove it, with what is not ours in it.
        aside = _kept_name(path)
    path.replace(aside)
    try:
        new.replace(path)
    except BaseException:
        aside.replace(path)
        raise
    for name in foreign_content(aside, own):
        _move_back(aside / name, path / name)
    remove_own(aside, own)
    # On NFS a removed file that somebody still reads lives on under such a name, until it is closed.
    if any(not Path(name).name.startswith(".nfs") for name in foreign_content(aside, own)):
        kept = aside if aside.name.startswith(path.name) else _kept_name(path)
        aside.replace(kept)
        _logger.warning("%s: replaced; what this program did not write is kept in %s", path, kept)


def _move_back(old: Path, new: Path) -> None:
    if not os.path.lexists(new):
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)


def remove_own(folder: Path, own: Collection[str]) -> None:
    """Remove the files ``own`` of a folder, and then all folders that are empty, itself too."""
    try:
        for root, _, files in os.walk(folder, topdown=False):
            here = Path(root)
            for file in (here / name for name in files):
                if file.relative_to(folder).as_posix() in own and is_plain_file(file):
                    file.unlink()
            if not any(here.iterdir()):
                here.rmdir()
    except OSError as error:  # the new folder stands; what is left of the old one is a later command's to clear up
        _logger.debug("%s: cannot be cleared up (%s)", folder, error)


def _kept_name(path: Path) -> Path:
    number, kept = 1, path.with_name(f"{path.name}.kept")
    while os.path.lexists(kept):
        number += 1
        kept = path.with_name(f"{path.name}.kept-{number}")
    return kept
