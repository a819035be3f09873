"""Separate folders and files of audio or video into stems."""

import argparse
import math
from pathlib import Path

from flows.command import add_params_option, command_parser, run_command, set_up_process
from flows.prefect_api import prefect_api_configured


def _arguments() -> argparse.Namespace:
    parser = command_parser("separate_batch", __doc__)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files, and folders at any depth")
    parser.add_argument(
        "-o", "--output_path", dest="out", type=Path, required=True, metavar="DIR", help="stems go here"
    )
    add_params_option(parser, default="2stems")
    parser.add_argument(
        "-f",
        "--filename_format",
        default="{filename}/{instrument}.{codec}",
        metavar="FORMAT",
        help="fields {filename} {instrument} {foldername} {codec} (default: %(default)s)",
    )
    parser.add_argument("-s", "--offset", type=float, default=0.0, metavar="SECONDS", help="start here (default: 0)")
    parser.add_argument("-d", "--duration", type=float, metavar="SECONDS", help="this much (default: to the end)")
    parser.add_argument(
        "-c", "--codec", default="wav", choices=("wav", "mp3", "ogg", "m4a", "wma", "flac"), help="default: wav"
    )
    parser.add_argument("-b", "--bitrate", default="128k", help="of lossy codecs (default: 128k)")
    parser.add_argument("--bits", type=int, default=16, choices=(16, 24, 32), help="of wav (32: float) and flac")
    parser.add_argument("--mwf", action="store_true", default=None, help="multichannel Wiener filtering")
    arguments = parser.parse_args()
    if not 0 <= arguments.offset < math.inf:
        parser.error(f"--offset is {arguments.offset:g}; give 0 or more seconds")
    if arguments.duration is not None and not 0 < arguments.duration < math.inf:
        parser.error(f"--duration is {arguments.duration:g}; give more than 0 seconds")
    if arguments.bits != 16 and arguments.codec not in ("wav", "flac"):
        parser.error(f"--bits is for wav and flac; {arguments.codec} takes --bitrate")
    if arguments.codec == "flac" and arguments.bits == 32:
        parser.error("flac holds 16 or 24 bits; give --bits 24, or -c wav for float")
    set_up_process(arguments.verbose)
    return arguments


# Parsed before the imports below, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

from rich.console import Console  # noqa: E402
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: E402
from rich.table import Table  # noqa: E402

from flows.download import locate_with_bar  # noqa: E402
from flows.inputs import check_ffmpeg  # noqa: E402
from sepcore.batch.find import find_songs  # noqa: E402
from sepcore.batch.plan import Song, plan_batch  # noqa: E402
from sepcore.batch.run import Outcome, separate_song  # noqa: E402
from sepcore.stem_files.options import StemFileOptions  # noqa: E402


def __getattr__(name: str) -> Any:
    # The flow lives beside this file: without a Prefect API the command does not wait for Prefect's import.
    if name == "separate_batch":
        from flows.separate_batch_flow import separate_batch

        return separate_batch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def plan(paths: Sequence[Path], out: Path, params: str, *, filename_format: str, codec: str) -> list[Song]:
    """Everything that can be refused before a model is loaded: paths, ffmpeg, model name, format, clashes, rights."""
    songs = find_songs(paths, out=out)
    check_ffmpeg()
    instruments = locate_with_bar(params).config.instruments
    return plan_batch(songs, out, instruments, filename_format=filename_format, codec=codec)


def _separate_here(songs: Sequence[Song], params: str, mwf: bool | None, options: StemFileOptions) -> list[Outcome]:
    """Song after song in this process, with a bar on stderr."""
    from sepcore.separator import Separator

    separator = Separator(params, mwf=mwf)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    outcomes = []
    with Progress(*columns, TextColumn("{task.fields[note]}", markup=False), console=Console(stderr=True)) as bar:
        line = bar.add_task("separate", total=len(songs), note="")
        for song in songs:
            bar.update(line, note=song.path.name)
            outcomes.append(separate_song(separator, song, options))
            bar.advance(line)
        bar.update(line, note="")
    return outcomes


def _print_outcomes(outcomes: Sequence[Outcome], out: Path, elapsed_s: float) -> None:
    console = Console()
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        table = Table("song", "why it failed", title=f"{len(failed)} of {len(outcomes)} failed")
        for outcome in failed:
            table.add_row(str(outcome.song), outcome.reason.removeprefix(f"{outcome.song}: "))
        console.print(table, markup=False)
    audio_s = sum(outcome.audio_s for outcome in outcomes)
    console.print(
        f"{len(outcomes) - len(failed)} of {len(outcomes)} songs separated into {out}: {audio_s:.0f} s of audio in "
        f"{elapsed_s:.0f} s, {audio_s / max(elapsed_s, 1e-9):.1f} times real time with start-up",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _main(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    formats = {"filename_format": arguments.filename_format, "codec": arguments.codec}
    songs = plan(arguments.paths, arguments.out, arguments.params, **formats)
    options = StemFileOptions(
        offset_s=arguments.offset,
        duration_s=arguments.duration,
        codec=arguments.codec,
        bitrate=arguments.bitrate,
        bits=arguments.bits,
    )
    if prefect_api_configured():
        from flows.separate_batch_flow import separate_batch

        outcomes = separate_batch(
            arguments.paths, arguments.out, arguments.params, mwf=arguments.mwf, options=options, **formats
        )
    else:
        outcomes = _separate_here(songs, arguments.params, arguments.mwf, options)
    _print_outcomes(outcomes, arguments.out, time.monotonic() - started)
    return 1 if any(outcome.status == "failed" for outcome in outcomes) else 0


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
