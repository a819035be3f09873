"""The memory that a process of this machine, or of this container, can still have."""

from contextlib import suppress
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes that can be taken before the system ends processes: of the machine or, if less, of the container."""
    free = int(psutil.virtual_memory().available)
    with suppress(OSError, ValueError):  # no container, or one without a limit (max)
        limit = int((cgroup / "memory.max").read_text("ascii"))
        used = int((cgroup / "memory.current").read_text("ascii"))
        # Read files are given back when memory is short.
        of_files = dict(line.split() for line in (cgroup / "memory.stat").read_text("ascii").splitlines())
        free = min(free, max(0, limit - used + int(of_files.get("inactive_file", 0))))
    return free
