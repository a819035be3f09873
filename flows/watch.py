"""Watch a folder and separate what is new in it, round after round until Ctrl-C."""

import argparse
from pathlib import Path

from flows.command import command_parser, run_command, set_up_process
from flows.prefect_api import prefect_api_configured
from flows.runners import model_anywhere
from flows.separation_options import (
    add_separation_options,
    check_separation_options,
    separator_settings,
    some_path,
    stem_file_options,
)

# A file that is being copied or downloaded grows more often than that.
SETTLED_S = 5.0


def _arguments() -> argparse.Namespace:
    description = (
        f"{__doc__} With a Prefect API it serves the deployment separate-batch/watch-<name of the folder>, whose runs "
        f"are the rounds. Files that were changed in the last {SETTLED_S:g} seconds are left for the next round."
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

import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import asdict, replace  # noqa: E402
from threading import Thread  # noqa: E402

from flows.batch import Batch, conclude, look_for_done, plan  # noqa: E402
from flows.batch_here import separate_here  # noqa: E402
from flows.terminal import say  # noqa: E402
from sepcore.batch.outcome import Outcome  # noqa: E402
from sepcore.batch.plan import prepare_output  # noqa: E402
from sepcore.batch.records import file_times  # noqa: E402
from sepcore.errors import ConfigError  # noqa: E402


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
    if prefect_api_configured():
        _serve(batch, arguments)
    else:
        _watch(planned, arguments)


def _watch(planned: Callable[[], Batch], arguments: argparse.Namespace) -> None:
    """Rounds in this process, with the network loaded once."""
    say([f"watching {arguments.folder} every {arguments.every:g} s, stems go to {arguments.out}; Ctrl-C ends it"])
    failed_as: dict[Path, tuple[int, int]] = {}
    last_error = ""
    while True:
        try:
            for outcome in _round(planned(), failed_as):
                say([_line(outcome)])
            last_error = ""
        except ConfigError as error:
            # Two songs that would write one file, say: mended while the command goes on.
            if str(error) != last_error:
                sys.stderr.write(f"{error}\n")
            last_error = str(error)
        time.sleep(arguments.every)


def _round(batch: Batch, failed_as: dict[Path, tuple[int, int]]) -> Iterator[Outcome]:
    """Separate what is new; a song that failed is tried again when it has changed."""
    skipped = look_for_done(batch, by_time=True)
    times = {song.path: _times(song.path) for song in batch.songs if song.path not in skipped}
    new = [song for song in batch.songs if (now := times.get(song.path)) and failed_as.get(song.path) != now]
    if not new:
        return
    prepare_output(new, batch.out)
    outcomes = separate_here(replace(batch, songs=new), new)
    failed_as |= {
        song: now for song, now in times.items() if now and song in outcomes and outcomes[song].status == "failed"
    }
    known = [song for song in batch.songs if song.path in skipped or song.path in outcomes]
    conclude(replace(batch, songs=known), skipped | outcomes)
    yield from outcomes.values()


def _times(path: Path) -> tuple[int, int] | None:
    """See `file_times`; None of a file that has just been moved away."""
    try:
        return file_times(path)
    except OSError:
        return None


def _line(outcome: Outcome) -> str:
    if outcome.status == "failed":
        return outcome.reason
    return f"{outcome.song}: {outcome.audio_s:.0f} s separated in {outcome.elapsed_s:.1f} s"


def _serve(batch: Batch, arguments: argparse.Namespace) -> None:
    """Rounds as runs of a Prefect deployment, which this process starts and works on, one at a time."""
    from prefect import serve
    from prefect.deployments import run_deployment

    from flows.separate_batch_flow import flow_parameters, separate_batch

    settings, folder = batch.separator.settings, arguments.folder.absolute()
    settings = replace(settings, model=model_anywhere(settings.model))
    deployment = separate_batch.to_deployment(
        f"watch-{folder.name}",
        parameters={
            "paths": [str(folder)],
            "out": str(batch.out.absolute()),
            "filename_format": arguments.filename_format,
            "options": asdict(batch.options),
            "settled_s": SETTLED_S,
            **flow_parameters(settings),
        },
    )
    name = f"separate-batch/{deployment.name}"
    deployment.apply()

    def rounds() -> None:
        # Not by an interval schedule: rounds that are due while one runs would pile up, or fill Prefect's page as
        # cancelled; and the server's scheduler fails with SQLAlchemy 2.1 (Prefect 3.8.8).
        while True:
            run_deployment(name, poll_interval=1)
            time.sleep(arguments.every)

    Thread(target=rounds, daemon=True).start()
    say([f"serving {name} every {arguments.every:g} s, stems go to {batch.out}; Ctrl-C ends it"])
    serve(deployment, limit=1, print_starting_message=False)
    raise KeyboardInterrupt  # Prefect ends quietly by it


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
