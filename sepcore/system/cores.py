"""How many things this process can do at a time."""

import math
import os
from contextlib import suppress
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def num_cores() -> int:
    """Cores that this process may use: those that the system gives it, and no more than a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, quota_cores(_QUOTA) or cores)


def quota_cores(file: Path) -> int | None:
    """Cores that a container's quota amounts to, rounded up; None without one.

    Args:
        file: ``cpu.max`` of control groups, version 2: microseconds of a core in a period, or ``max``.
    """
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, _, period = file.read_text("ascii").partition(" ")
        return max(math.ceil(int(quota) / int(period)), 1)
    return None
