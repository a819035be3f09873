"""Start-up chatter of native libraries kept off the terminal."""

import atexit
import os
import re
import sys
import threading

# TensorFlow's C++ side: information and warnings of absl's log; no environment variable silences those of its start.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:\d\d:|To enable the following instructions"
    rb"|E\d{4} .*failed call to cuInit"  # a machine without a GPU
)


def filter_native_log() -> None:
    """Drop TensorFlow's information lines from file descriptor 2; everything else still reaches the real stderr.

    Python's own ``sys.stderr`` keeps writing to the terminal directly, so that progress bars stay bars.
    """
    terminal = os.dup(2)
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    reading, writing = os.pipe()
    os.dup2(writing, 2)
    os.close(writing)

    def forward() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                if not _CHATTER.match(line):
                    os.write(terminal, line)

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()

    def restore() -> None:
        os.dup2(terminal, 2)  # closes the pipe's last end here, so that the thread drains it and ends
        thread.join(timeout=1)  # a child that still holds the pipe must not keep the process

    atexit.register(restore)
