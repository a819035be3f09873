"""museval's scores of a model, or of another program's stems, on MUSDB18's test songs or on the songs of a CSV."""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import get_args

from flows.scored_run import check_place, is_evaluation_of, scored_run
from flows.support.command import (
    add_data_option,
    add_params_option,
    check_first,
    command_parser,
    run_command,
    set_up_process,
)
from flows.support.download import locate_with_bar
from flows.support.inputs import check_ffmpeg
from flows.support.prefect_server import start_prefect
from flows.support.runners import add_runner_options, check_runner, check_scheduler, model_anywhere, task_runner
from flows.test_set import chosen_test_set
from sepcore import load_config
from sepcore.evaluation.choices import ENGINES, BaselineName, ScoringEngine
from sepcore.evaluation.scoring_config import estimated_tracks
from sepcore.output_folder import check_writable

_LISTEN = 3
# While the scores of one song are computed, the next is separated.
WORKERS = 2


def _arguments() -> argparse.Namespace:
    parser = command_parser("evaluate", __doc__)
    add_params_option(parser, optional=True)
    tested = parser.add_mutually_exclusive_group()
    tested.add_argument(
        "--mus_dir",
        type=Path,
        metavar="DIR",
        help="MUSDB18 or MUSDB18-HQ; its test songs are scored (default: MUSDB_PATH)",
    )
    tested.add_argument("--csv", type=Path, metavar="FILE", help="a manifest; all of its songs are scored")
    parser.add_argument(
        "-o", "--output_path", dest="out", type=Path, required=True, metavar="DIR", help="scores and report go here"
    )
    parser.add_argument(
        "--estimates",
        type=Path,
        metavar="DIR",
        help="score these stems instead of a model's: DIR/test/<song>/<stem>.wav; -p then only says which stems",
    )
    parser.add_argument(
        "--baselines",
        type=_baselines,
        default=(),
        metavar="NAMES",
        help="score beside it: mixture (untouched, as every stem), irm (the ideal ratio mask), or both: mixture,irm",
    )
    parser.add_argument("--mwf", action="store_true", default=None, help="separate by multichannel Wiener filtering")
    parser.add_argument(
        "--engine",
        choices=get_args(ScoringEngine),
        default="fast",
        help="how BSSEval is computed: fast (museval's numbers), stable (where museval's depend on rounding, they do "
        "not), museval (itself) (default: fast)",
    )
    parser.add_argument(
        "--listen",
        type=int,
        default=_LISTEN,
        metavar="N",
        help=f"songs that can be heard in the report, from the worst to the best (default: {_LISTEN})",
    )
    add_data_option(parser)
    add_runner_options(parser, workers="2: while one song's scores are computed, the next is separated")
    arguments = parser.parse_args()
    check_runner(parser, arguments)
    if arguments.listen < 0:
        parser.error(f"--listen is {arguments.listen}; give 0 or more")
    if arguments.params is None and arguments.estimates is None and not arguments.baselines:
        parser.error("nothing is to be scored: give -p MODEL, --estimates DIR or --baselines")
    if arguments.mwf and (arguments.estimates or arguments.params is None):
        parser.error("--mwf is for a model that separates: give -p MODEL without --estimates, or leave --mwf out")
    set_up_process(arguments.verbose)
    check_first(lambda: _check(arguments))
    start_prefect()
    return arguments


def _baselines(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if unknown := [name for name in names if name not in get_args(BaselineName)]:
        known = " or ".join(get_args(BaselineName))
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no baseline; expected {known}")
    return names


def _check(arguments: argparse.Namespace) -> None:
    check_ffmpeg()
    songs = chosen_test_set(arguments.mus_dir, arguments.csv, arguments.data)
    if arguments.estimates is not None:
        estimated_tracks(arguments.estimates)
    if arguments.params is None:
        config = songs.own_config(arguments.estimates)
    elif arguments.estimates is not None:
        config = load_config(arguments.params)  # without its weights
    else:
        config = locate_with_bar(arguments.params).config
    songs.check(config)
    check_place(arguments.out, arguments.params, arguments.estimates)
    check_writable(arguments.out, "-o")
    check_scheduler(arguments.scheduler)


# Parsed before Prefect's imports, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from prefect import flow  # noqa: E402
from pydantic import NonNegativeInt  # noqa: E402

from flows.evaluated_songs import EvaluatedSongs, evaluate_songs, excerpts_to_hear, test_songs  # noqa: E402
from flows.support.progress import print_scores  # noqa: E402
from flows.support.run_names import run_name  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from flows.test_set import TestSet  # noqa: E402
from sepcore import Separator  # noqa: E402
from sepcore.atomic import write_text  # noqa: E402
from sepcore.errors import ConfigError, SongsFailed  # noqa: E402
from sepcore.evaluation.baselines import BASELINES  # noqa: E402
from sepcore.evaluation.estimates import Estimates, FolderEstimates, ModelEstimates  # noqa: E402
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint  # noqa: E402
from sepcore.evaluation.musdb18 import is_musdb18_test  # noqa: E402
from sepcore.evaluation.report.evaluation_report import EvaluationReport  # noqa: E402
from sepcore.evaluation.report.report import write_report  # noqa: E402
from sepcore.evaluation.run_scores import why_not_own  # noqa: E402
from sepcore.evaluation.scores import ScoreSummary  # noqa: E402
from sepcore.separator_settings import SeparatorSettings  # noqa: E402
from tasks.dead_runs import note_run  # noqa: E402
from tasks.evaluation import log_scores  # noqa: E402
from tasks.summaries import show_scores  # noqa: E402


@flow(
    name="evaluate",
    flow_run_name=run_name("evaluate", params="", estimates="stems of", mus_dir="on", csv="on"),
    task_runner=task_runner(workers=WORKERS),
    on_running=[note_run],
)
def evaluate(
    params: str | None,
    out: Path,
    mus_dir: Path | None = None,
    csv: Path | None = None,
    data_dir: Path | None = None,
    mwf: bool | None = None,
    estimates: Path | None = None,
    baselines: tuple[BaselineName, ...] = (),
    engine: ScoringEngine = "fast",
    listen: NonNegativeInt = _LISTEN,
) -> ScoreSummary:
    """Score every test song, and report; songs whose scores are there already are not scored again.

    Args:
        params: What ``-p`` takes. The scores of a finished run go into its folder and its MLflow run too, if they are
            its own: as its config separates, on its own test set, of every song; see `why_not_own`.
        out: Folder of museval's JSON files (``test/<song>.json``), the tables ``frames.parquet`` and
            ``tracks.parquet``, ``scores.json``, ``report.html`` and ``boxplot.png``; those of a baseline go into
            ``baselines/<name>`` in it.
        mus_dir: MUSDB18, whose test songs are scored.
        csv: Or a manifest, whose songs are scored.
        data_dir: Folder of the manifest's relative paths.
        mwf: Wiener filtering; None: as the config says.
        estimates: Folder of stems that are scored instead of the model's.
        baselines: What is scored beside them, ``mixture`` and ``irm``; alone, if there is nothing else.
        engine: As `sepcore.evaluation.bss_eval` takes it.
        listen: Songs that can be heard in the report.

    Raises:
        SongsFailed: some songs could not be scored; the others are, and reported.
    """
    out = out.absolute()  # the workers of a cluster have another working directory
    check_place(out, params, estimates)
    songs = chosen_test_set(mus_dir, csv, data_dir)
    scored, *beside = _estimates(params, mwf, estimates, baselines, songs)
    rows = test_songs(songs, scored.config, out)
    run = scored_run(params, estimates)
    if run is not None:
        named = {"model": scored.fingerprint(rows[0]), "dataset": songs.name}
        why_not = partial(why_not_own, run, scored.config, rows, engine, **named)
        if is_evaluation_of(out, run) and (
            other := why_not(songs=lambda: songs_fingerprint(map(song_fingerprint, rows)))
        ):
            raise ConfigError(f"{out}: is for the run's own scores, and these are others: {other}; give another -o.")
    result = evaluate_songs(rows, scored, out, engine)
    others = {other.name: evaluate_songs(rows, other, out / "baselines" / other.name, engine) for other in beside}
    if not result.files:
        raise _failure({scored.name: result}, len(rows))
    summary = ScoreSummary.from_tracks(result.tracks, dataset=songs.name, made_from=result.made_from)
    write_text(out / "scores.json", summary.to_json())
    report = EvaluationReport(
        model=scored.name,
        dataset=songs.name,
        is_musdb18_test=songs.musdb is not None and is_musdb18_test(result.tracks),
        instruments=tuple(scored.config.instruments),
        frames=result.frames,
        tracks=result.tracks,
        engine=ENGINES[engine],
        baselines={name: other.tracks for name, other in others.items() if other.files},
        excerpts=excerpts_to_hear(rows, scored, result, out, listen),
        failed=result.failed
        | {
            f"{song} ({name})": reason
            for name, other in others.items()
            for song, reason in other.failed.items()
            if song not in result.failed
        },
    )
    write_report(out, report)
    show_scores(scored.name, summary)
    if run is not None and (finished := run.finished()) is not None:
        failed = f"{len(result.failed)} of {len(rows)} songs could not be scored" if result.failed else ""
        if other := failed or why_not(songs=lambda: result.made_from.songs):
            say([f"not taken for the scores of {run.path}: {other}"])
        else:
            write_text(run.scores, summary.to_json())
            log_scores(run, finished["name"], summary, out, csv)
    everything = {scored.name: result} | others
    if any(part.failed for part in everything.values()):
        raise _failure(everything, len(rows))
    return summary


def _estimates(
    params: str | None, mwf: bool | None, estimates: Path | None, baselines: tuple[BaselineName, ...], songs: TestSet
) -> list[Estimates]:
    """What is scored; what the report is about comes first."""
    chosen: list[Estimates] = []
    if params is not None and estimates is None:
        settings = SeparatorSettings(model_anywhere(params), mwf, engine="tensorflow")
        chosen.append(ModelEstimates(Separator.of(settings)))
        config = chosen[0].config
    else:
        config = songs.own_config(estimates) if params is None else load_config(params)
    if estimates is not None:
        chosen.append(FolderEstimates(estimates.absolute(), config))
    return [*chosen, *(BASELINES[name](config) for name in baselines)]


def _failure(parts: dict[str, EvaluatedSongs], num_songs: int) -> SongsFailed:
    """A line for each song, and one that counts them."""
    failed = {song for part in parts.values() for song in part.failed}
    lines = dict.fromkeys(
        reason if reason.startswith(song) else f"{song}: {reason}"
        for part in parts.values()
        for song, reason in part.failed.items()
    )
    kept = "; the others are kept" if len(failed) < num_songs else ""
    return SongsFailed("\n".join([*lines, f"{len(failed)} of {num_songs} songs could not be scored{kept}"]))


def _main(arguments: argparse.Namespace) -> None:
    started = time.time_ns()
    runner = task_runner(arguments.runner, arguments.scheduler, arguments.workers or WORKERS)
    try:
        evaluate.with_options(task_runner=runner)(
            arguments.params,
            arguments.out,
            mus_dir=arguments.mus_dir,
            csv=arguments.csv,
            data_dir=arguments.data,
            mwf=arguments.mwf,
            estimates=arguments.estimates,
            baselines=arguments.baselines,
            engine=arguments.engine,
            listen=arguments.listen,
        )
    finally:
        scores = arguments.out / "scores.json"
        # Not those of an earlier evaluation, where this one could score nothing.
        if scores.is_file() and scores.stat().st_mtime_ns >= started:
            print_scores(ScoreSummary.from_json(scores.read_text("utf-8")))
            say([f"scores: {arguments.out}", f"report: {arguments.out / 'report.html'}"])


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
