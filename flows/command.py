"""What all command lines share: quiet start-up, one line for a mistake, the exit codes."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from flows.native_log import filter_native_log
from sepcore.errors import StemworksError

INTERRUPTED = 130


def command_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser for ``python -m flows.<name>`` with the options that all commands have."""
    parser = argparse.ArgumentParser(prog=f"python -m flows.{name}", description=description)
    parser.add_argument("--verbose", action="store_true", help="log what is done, Prefect's and TensorFlow's lines too")
    return parser


def add_params_option(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Spleeter's ``-p``."""
    parser.add_argument(
        "-p",
        "--params_filename",
        dest="params",
        metavar="MODEL",
        default=default,
        required=default is None,
        help="a name (2stems, 4stems, 5stems, …-16kHz, musdb, quickstart), a JSON file, a release tarball, a run folder"
        + (f" (default: {default})" if default else ""),
    )


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Spleeter's ``-d`` of the training."""
    parser.add_argument(
        "-d", "--data", type=Path, metavar="DIR", help="folder of the CSVs' relative paths (default: each CSV's own)"
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Where runs lie."""
    parser.add_argument(
        "--work-dir", type=Path, default=Path("runs"), metavar="DIR", help="folder of the runs (default: runs)"
    )


def set_up_process(verbose: bool) -> None:
    """Logging, and silence of the libraries that have not been imported yet; what the user has set stays."""
    if not verbose:
        filter_native_log()
    level = "INFO" if verbose else "WARNING"
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    quiet = {
        # Failures reach the user as our one line; Prefect would print a traceback of each task and flow before it.
        "PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    for key, value in quiet.items():
        os.environ.setdefault(key, value)


def guarded(work: Callable[[], int | None]) -> int:
    """Do a piece of work; turn what can go wrong into one line on stderr and an exit code."""
    try:
        return work() or 0
    except StemworksError as error:
        return _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on from here", INTERRUPTED)
    except OSError as error:
        # A full disk, a folder without rights: what it was about is in the message.
        return _say(f"{error.filename or 'system'}: {error.strerror or error}", 2)


def run_command(work: Callable[[], int | None]) -> NoReturn:
    """`guarded` work, and the end of the process."""
    sys.exit(guarded(work))


def _say(line: str, code: int) -> int:
    sys.stderr.write(f"{line}\n")
    return code
