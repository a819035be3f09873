"""The memory that a process of this machine, or of this container, can still have."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")
# Of each version of control groups: the limit, what is used, and what of it is given back when memory is short.
_VERSIONS = (
    ("memory.max", "memory.current", "memory.stat", ("inactive_file", "active_file", "slab_reclaimable")),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        ("total_inactive_file", "total_active_file"),
    ),
)


def free_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes that can be taken before the system ends processes: of the machine or, if less, of the container."""
    return min([int(psutil.virtual_memory().available), *_free_in_containers(cgroup)])


def _free_in_containers(cgroup: Path) -> Iterator[int]:
    for limit, used, stat, reclaimable in _VERSIONS:
        with suppress(OSError, ValueError):  # no container, or one without a limit (max)
            most, taken = (int((cgroup / name).read_text("ascii")) for name in (limit, used))
            yield max(0, most - taken + _sum_of(cgroup / stat, reclaimable))


def _sum_of(stat: Path, keys: tuple[str, ...]) -> int:
    """Some of the numbers of a file of ``key number`` lines; 0 for those that are not there."""
    try:
        lines = [line.split() for line in stat.read_text("ascii").splitlines()]
    except (OSError, ValueError):
        return 0
    return sum(int(line[1]) for line in lines if len(line) == 2 and line[0] in keys and line[1].isdecimal())
