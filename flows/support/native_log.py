"""Start-up chatter of native libraries kept off the terminal."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

# TensorFlow's C++ side: information and warnings of absl's log; no environment variable silences those of its start.
_CHATTER = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|[IW]\d{4} \d\d:\d\d:|To enable the following instructions"
    rb"|E\d{4} .*failed call to cuInit"  # a machine without a GPU
)
_END_S = 5.0


def filter_native_log() -> None:
    """Drop TensorFlow's information lines while it is imported; everything else reaches the terminal.

    After its start it goes by ``TF_CPP_MIN_LOG_LEVEL``, which is set to errors unless the user has set it: the last
    words of a library before a crash are never filtered.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Python's own lines go to the terminal directly even then, so that progress bars stay bars.
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    sys.meta_path.insert(0, _QuietTensorflow())


class _QuietTensorflow(MetaPathFinder):
    """Finds TensorFlow where it lies, and has it loaded without its chatter."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                sys.meta_path.remove(self)  # not before: whether it is installed may be asked without loading it
                with _without_chatter():
                    load(module)
                    module.config.list_physical_devices()  # so that its messages about GPUs come now

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Let lines written to file descriptor 2 pass through a process of their own.

    It outlives this one: what a library says before it ends the process, as TensorFlow does on a processor without AVX,
    is shown. A thread could not.
    """
    command = [sys.executable, "-I", "-S", __file__]
    # In a process group of its own, or Ctrl-C would end it before it has shown the last lines.
    through = subprocess.Popen(command, stdin=subprocess.PIPE, process_group=0)
    assert through.stdin is not None
    terminal = os.dup(2)
    with through.stdin as pipe:
        os.dup2(pipe.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)  # closes the pipe's last end here, so that the other process ends
        os.close(terminal)
        with suppress(subprocess.TimeoutExpired):  # a process started meanwhile holds the pipe, and is still shown
            through.wait(_END_S)


def _pass_on() -> None:
    """Copy standard input to standard error without the chatter."""
    for line in sys.stdin.buffer:
        if not _CHATTER.match(line):
            os.write(2, line)


if __name__ == "__main__":
    _pass_on()
