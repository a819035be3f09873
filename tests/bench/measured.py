"""Run a command and measure it with all that it starts, from a process of a few megabytes.

    python measured.py COMMAND [ARGUMENT …]

Prints the command's own last line of stdout, and below it a JSON line: ``elapsed_s``, ``largest_mb``, the peak memory
of its largest process, and ``sum_mb``, the peak of all its processes together (looked at every 50 ms; what they share
counts for each). A process of its own because the kernel counts to a new process what the one that starts it holds:
under pytest that is TensorFlow.
"""

import contextlib
import json
import resource
import subprocess
import sys
import time

import psutil

_EVERY_S = 0.05


def resident_bytes(process):
    """Of a process; 0 if it has just ended."""
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss
    return 0


def main():
    started = time.perf_counter()
    process = psutil.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    largest = together = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            sizes = [resident_bytes(each) for each in (process, *process.children(recursive=True))]
            largest, together = max(largest, *sizes), max(together, sum(sizes))
        time.sleep(_EVERY_S)
    elapsed_s = time.perf_counter() - started
    # The kernel's own peak, which no look can miss; in kilobytes.
    largest = max(largest, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
    said = process.stdout.read().splitlines()
    sys.stdout.write(f"{said[-1] if said else ''}\n")
    measures = {"elapsed_s": elapsed_s, "largest_mb": largest / 1e6, "sum_mb": together / 1e6}
    sys.stdout.write(json.dumps(measures) + "\n")
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
