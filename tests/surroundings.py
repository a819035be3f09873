"""What all tests of a process share, and none may leave changed."""

import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What a developer may have set, and a test must not meet: other servers, other folders.
_FOREIGN = ("PREFECT_", "MLFLOW_", "GITHUB_", "XDG_", "MODEL_PATH", "MUSDB_PATH", "MPLCONFIGDIR", "KERAS_HOME")
# Set again for all: nothing phones home.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
# Written by pytest, and by tf2onnx in its import.
_BY_OTHERS = ("PYTEST_CURRENT_TEST", "TF_CPP_MIN_LOG_LEVEL")
_SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2


def move_home(home: Path) -> None:
    """Give this process, and those that it starts, a home of their own, and nothing of the developer's settings."""
    for name in [name for name in os.environ if name.startswith(_FOREIGN)]:
        del os.environ[name]
    os.environ.update(_QUIET, HOME=str(home))


def forbid_signals_to_this_process() -> None:
    """Let a signal to this process, or to its group, be an error where it is sent.

    It may come late, or be swallowed, and end the process in a test that has nothing to do with it. Tests send signals
    to processes that they start. (xdist's execnet may: that is how it ends a worker.)
    """
    own = os.getpid()

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("os.kill", "os.killpg", "signal.pthread_kill") or os.getpid() != own:
            return
        target, number = arguments
        at_own = {"os.kill": (own, 0, -1, -os.getpgrp()), "os.killpg": (0, os.getpgrp())}
        if sys._getframe(1).f_globals.get("__name__", "").startswith("execnet"):
            return
        if number and (event == "signal.pthread_kill" or target in at_own[event]):
            raise RuntimeError(f"{event}{arguments} is for the process that runs the tests; start one to interrupt")

    sys.addaudithook(refuse)


def surroundings() -> dict[str, object]:
    """The process's state by name, as of now."""
    root = logging.getLogger()
    state: dict[str, object] = {
        "the working directory": Path.cwd(),
        "the command line": list(sys.argv),
        "sys.path": list(sys.path),
        "sys.excepthook": sys.excepthook,
        "sys.unraisablehook": sys.unraisablehook,
        "threading.excepthook": threading.excepthook,
        "the largest file allowed": resource.getrlimit(resource.RLIMIT_FSIZE),
        "the root logger's level": root.level,
        "the root logger's handlers": [one for one in root.handlers if not type(one).__module__.startswith("_pytest")],
        "what logging disables": root.manager.disable,
    }
    state |= {f"the handler of {number.name}": signal.getsignal(number) for number in _SIGNALS}
    state |= {f"${name}": value for name, value in os.environ.items() if name not in _BY_OTHERS}
    # MLflow's pools of threads for files end with the objects that hold them, whenever those are collected.
    threads = [one for one in threading.enumerate() if not one.daemon and not one.name.startswith("Mlflow")]
    state |= {f"the thread {one.name}": one for one in threads}
    return state | _of_libraries()


def _of_libraries() -> dict[str, object]:
    """Their global state; {} of what has not been imported."""
    state: dict[str, object] = {}
    if (keras := sys.modules.get("keras")) and hasattr(keras, "config"):
        state["Keras' dtype policy"] = keras.config.dtype_policy().name
        state["Keras' floatx"] = keras.config.floatx()
    if (context := sys.modules.get("prefect.context")) and (settings := context.SettingsContext.get()):
        state["Prefect's settings"] = settings.settings
    return state


def changes(before: dict[str, object], after: dict[str, object]) -> Iterable[str]:
    """What differs, a line each. What a library's first import adds to its own state is no change."""
    for name in sorted({*before, *after}):
        if name in before and name in after:
            if before[name] != after[name]:
                yield f"{name} was {before[name]!r} and is {after[name]!r}"
        elif name.startswith("$"):
            yield f"{name} was " + (f"added: {after[name]!r}" if name in after else f"removed: {before[name]!r}")
        elif name.startswith("the thread") and name in after:
            yield f"{name} still runs"
