"""Run a command and measure it with all that it starts, from a process of a few megabytes: see `run_measured`.

    python measured.py COMMAND [ARGUMENT …]

A process of its own because the kernel counts to a new process what the one that starts it holds: under pytest that is
TensorFlow.
"""

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_EVERY_S = 0.05


@dataclass(frozen=True)
class Measures:
    """What a command said and took.

    Attributes:
        said: Its last line of stdout.
        elapsed_s: From its start to its end.
        largest_mb: The peak memory of its largest process.
        sum_mb: The peak of all its processes together, as `looks` show it.
        looks: The time of day in seconds and the memory of all its processes then, in MB, every 50 ms; what they share
            counts for each.
    """

    said: str
    elapsed_s: float
    largest_mb: float
    sum_mb: float
    looks: list[tuple[float, float]]


def run_measured(*command: object, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Measures:
    """Measure a command, which has to succeed; ``env`` and ``cwd`` as `subprocess.run` takes them."""
    behind = [sys.executable, __file__, *map(str, command)]
    ran = subprocess.run(behind, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-4000:]
    return Measures(**json.loads(ran.stdout))


def _resident_bytes(process: psutil.Process) -> int:
    """Of a process; 0 if it has just ended."""
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def main() -> int:
    started = time.perf_counter()
    process = psutil.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    largest, looks = 0, []
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes = [_resident_bytes(each) for each in (process, *process.children(recursive=True))]
            largest = max(largest, *sizes)
            looks.append((time.time(), sum(sizes) / 1e6))
        time.sleep(_EVERY_S)
    elapsed_s = time.perf_counter() - started
    # The kernel's own peak, which no look can miss; in kilobytes.
    largest = max(largest, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    said = process.stdout.read().splitlines()
    highest = max((megabytes for _, megabytes in looks), default=0.0)
    measures = Measures(said[-1] if said else "", elapsed_s, largest / 1e6, highest, looks)
    sys.stdout.write(json.dumps(asdict(measures)) + "\n")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
