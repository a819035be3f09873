"""Which songs are there in full, and not still being copied or downloaded."""

import time
from collections.abc import Mapping
from pathlib import Path


def settled_songs(songs: Mapping[Path, Path], *, seconds: float) -> dict[Path, Path]:
    """Those songs to which nothing has happened for some seconds; the others are left for the next round.

    Args:
        songs: As `find_songs` returns them.
        seconds: How long a file must have kept its content, its size and its times.
    """
    now = time.time()
    return {song: below for song, below in songs.items() if _is_settled(song, now, seconds)}


def _is_settled(song: Path, now: float, seconds: float) -> bool:
    try:
        stat = song.stat()
    except OSError:  # it has just been moved away
        return False
    # Whoever copies a file with its old time sets that at the end; that it did so is the time of the status. Times in
    # the future are of a clock that goes wrong, and would never pass.
    return all(abs(now - changed) >= seconds for changed in (stat.st_mtime, stat.st_ctime))
