"""Watch a folder and separate what is new in it, round after round until Ctrl-C."""

import argparse
from pathlib import Path

from flows.separation_options import (
    add_separation_options,
    check_separation_options,
    separator_settings,
    some_path,
    stem_file_options,
)
from flows.support.command import command_parser, run_command, set_up_process
from flows.support.prefect_api import prefect_api_configured
from flows.support.runners import model_anywhere

# A file that is being copied or downloaded grows more often than that.
SETTLED_S = 5.0


def _arguments() -> argparse.Namespace:
    description = (
        f"{__doc__} Files that were changed in the last {SETTLED_S:g} seconds are left for the next round; a song that "
        "failed is tried again when it changes, or when the command starts again. With a Prefect API it serves the "
        "deployment separate-batch/watch-<name of FOLDER>-<eight digits>, whose runs are the rounds."
    )
    parser = command_parser("watch", description)
    parser.add_argument("folder", type=some_path, metavar="FOLDER", help="songs come into this folder, at any depth")
    add_separation_options(parser)
    parser.add_argument("--every", type=float, default=10.0, metavar="SECONDS", help="between rounds (default: 10)")
    arguments = parser.parse_args()
    check_separation_options(parser, arguments)
    if not 1 <= arguments.every <= 86_400:
        parser.error(f"--every is {arguments.every:g}; give 1 to 86400 seconds")
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder}: no such folder; make it, or check the name")
    set_up_process(arguments.verbose)
    return arguments


# Parsed before the imports below, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

import hashlib  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from contextlib import redirect_stdout  # noqa: E402
from dataclasses import asdict, replace  # noqa: E402
from functools import partial  # noqa: E402
from threading import Event, Thread  # noqa: E402
from uuid import UUID  # noqa: E402

from flows.batch import Batch, conclude, look_for_done, plan, try_new  # noqa: E402
from flows.batch_here import separate_here  # noqa: E402
from flows.support.parameters import sendable  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from flows.watch_rounds import keep_rounds_going, keep_serving  # noqa: E402
from sepcore.batch.failures import forget_failed_tries  # noqa: E402
from sepcore.batch.outcome import Outcome  # noqa: E402
from sepcore.batch.plan import Song, prepare_output  # noqa: E402
from sepcore.errors import StemworksError  # noqa: E402
from sepcore.printable import printable  # noqa: E402
from sepcore.urls import shown  # noqa: E402


def _main(arguments: argparse.Namespace) -> None:
    settings, options = separator_settings(arguments), stem_file_options(arguments)

    def planned() -> Batch:
        return plan(
            [arguments.folder],
            arguments.out,
            settings,
            options,
            filename_format=arguments.filename_format,
            settled_s=SETTLED_S,
        )

    batch = planned()  # what is wrong with the command is said now, not in the first round
    prepare_output(batch.songs, batch.out)
    forget_failed_tries(batch.out)
    if prefect_api_configured():
        _serve(batch, arguments)
    else:
        _watch(planned, arguments)


def _watch(planned: Callable[[], Batch], arguments: argparse.Namespace) -> None:
    """Rounds in this process, with the network loaded once."""
    say([f"watching {arguments.folder} every {arguments.every:g} s, stems go to {arguments.out}; Ctrl-C ends it"])
    told: set[str] = set()
    while True:
        try:
            lines = [_line(outcome) for outcome in _round(planned())]
            say(line for line in lines if line not in told)
        except (StemworksError, OSError) as error:
            # A full disk, two songs that would write one file, a model that is being replaced: mended meanwhile.
            lines = [printable(error)]
            if lines[0] not in told:
                sys.stderr.write(f"{shown(lines[0])}\n")
        told = set(lines)
        time.sleep(arguments.every)


def _round(batch: Batch) -> Iterator[Outcome]:
    """Separate what is new; a song that failed is tried again when it has changed."""
    skipped = look_for_done(batch, by_time=True)

    def separate(songs: Sequence[Song]) -> dict[Path, Outcome]:
        prepare_output(songs, batch.out)
        return separate_here(replace(batch, songs=list(songs)), songs)

    new, before = try_new(batch, [song for song in batch.songs if song.path not in skipped], separate)
    if new:
        found = skipped | before | new
        conclude(replace(batch, songs=[song for song in batch.songs if song.path in found]), found)
    yield from new.values()


def _line(outcome: Outcome) -> str:
    if outcome.status == "failed":
        return outcome.reason
    if outcome.status == "skipped":
        return f"{outcome.song}: separated by another process"
    return f"{outcome.song}: {outcome.audio_s:.0f} s separated in {outcome.elapsed_s:.1f} s"


def _deployment_name(folder: Path, out: Path) -> str:
    """Of the deployment of a watched folder: the same for the same two folders, and another for all others."""
    folder, out = folder.resolve(), out.resolve()
    places = hashlib.sha256(b"\0".join(map(os.fsencode, (folder, out)))).hexdigest()[:8]
    # Prefect takes no slash, and nothing that is no text.
    name = re.sub(r"[^\w.-]+", "-", folder.name) or "root"
    return f"watch-{name}-{places}"


def _serve(batch: Batch, arguments: argparse.Namespace) -> None:
    """Rounds as runs of a Prefect deployment, which this process starts and works on, one at a time."""
    from prefect import serve
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound

    from flows.separate_batch_flow import flow_parameters, separate_batch

    settings, folder = batch.separator.settings, arguments.folder.absolute()
    settings = replace(settings, model=model_anywhere(settings.model))
    deployment = separate_batch.to_deployment(
        _deployment_name(folder, batch.out),
        parameters={
            "paths": [sendable(folder)],
            "out": sendable(batch.out.absolute()),
            "filename_format": arguments.filename_format,
            "options": asdict(batch.options),
            "settled_s": SETTLED_S,
            **flow_parameters(settings),
        },
    )
    name = f"separate-batch/{deployment.name}"
    deployment.apply()

    # Not by an interval schedule: rounds that are due while one runs would pile up, or fill Prefect's page as
    # cancelled; and the server's scheduler fails with SQLAlchemy 2.1 (Prefect 3.8.8).
    def start() -> UUID:
        return run_deployment(name, timeout=0).id

    def has_ended(run: UUID) -> bool:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
        return state is not None and state.is_final()

    def is_lost(error: BaseException) -> bool:
        return isinstance(error, ObjectNotFound)

    stop = Event()
    rounds = partial(keep_rounds_going, start, has_ended, stop, every_s=arguments.every, is_lost=is_lost)
    Thread(target=rounds, daemon=True).start()
    say([f"serving {name} every {arguments.every:g} s, stems go to {batch.out}; Ctrl-C ends it"])

    def serve_quietly() -> None:
        # Before its runner ends for an outage, it prints tracebacks.
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            # Unpaused: there are no schedules, and to pause them would wait for an API that may be away.
            serve(deployment, limit=1, pause_on_shutdown=False, print_starting_message=False)

    warnings.filterwarnings("ignore", "coroutine '.*' was never awaited", RuntimeWarning)
    try:
        keep_serving(serve_quietly)
    finally:
        stop.set()
    raise KeyboardInterrupt  # Prefect ends quietly by it


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
