"""How many things this process can do at a time."""

import os


def num_cores() -> int:
    """Cores that this process may use, where the system tells them apart from those that it has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
