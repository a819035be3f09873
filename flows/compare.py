"""Two evaluations of the same tracks: whether B is worse than A, stem by stem, and on which tracks."""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path

from flows.support.command import add_run_options, command_parser, run_command, set_up_process

_GATE = (
    "Exit code 0 if B is not worse than A, 1 if it is worse in any stem, 2 for a mistake in what was given. A stem is "
    "worse if the whole confidence interval of its median difference, track by track, lies below -MARGIN; with fewer "
    "tracks than an interval needs (6 at 0.95), or with --strict, if that difference itself does; and if B lacks a "
    "score of it that A has, unless with --allow-missing."
)


def _arguments() -> argparse.Namespace:
    parser = command_parser("compare", f"{__doc__} {_GATE}")
    what = "a run (its folder, its name or its MLflow run id) or a folder of scores"
    parser.add_argument("a", metavar="A", help=f"what to compare with: {what}")
    parser.add_argument("b", metavar="B", help=f"what is judged: {what}")
    parser.add_argument("--metric", default="SDR", help="SDR, ISR, SIR, SAR, or another that both have (default: SDR)")
    parser.add_argument("--margin", type=float, default=0.0, metavar="DB", help="an accepted loss in dB (default: 0)")
    parser.add_argument("--strict", action="store_true", help="let the median difference decide, interval or not")
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="do not count it against B that it has no score of a stem, track or frame that A has one of",
    )
    parser.add_argument(
        "--confidence", type=float, default=0.95, metavar="C", help="of the intervals, between 0 and 1 (default: 0.95)"
    )
    parser.add_argument("--resamples", type=int, default=10_000, metavar="N", help="of the bootstrap (default: 10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    parser.add_argument(
        "--out", type=_file, metavar="FILE", help="keep all that was found in a .json, or all tracks' in a .parquet"
    )
    add_run_options(parser)
    arguments = parser.parse_args()
    if not 0 <= arguments.margin < math.inf:
        parser.error(f"--margin is {arguments.margin:g}; give the loss in dB that is accepted, at least 0")
    if not 0 < arguments.confidence < 1:
        parser.error(f"--confidence is {arguments.confidence:g}; give a number between 0 and 1, such as 0.95")
    if arguments.resamples < 1 or arguments.seed < 0:
        parser.error(f"--resamples is {arguments.resamples}, --seed {arguments.seed}; give at least 1 and at least 0")
    set_up_process(arguments.verbose)
    return arguments


def _file(text: str) -> Path:
    if not text.lower().endswith((".json", ".parquet")):
        raise argparse.ArgumentTypeError(f"{text} ends neither in .json nor in .parquet, which are what is written")
    return Path(text)


# Parsed before the imports below, so that --help and a wrong argument are answered at once.
ARGUMENTS = _arguments() if __name__ == "__main__" else None

from flows.compare_table import print_comparison  # noqa: E402
from flows.runs import resolve_run  # noqa: E402
from flows.support.terminal import say  # noqa: E402
from sepcore.atomic import atomic_path, write_text  # noqa: E402
from sepcore.errors import DatasetError, GateRefused, TrainingError  # noqa: E402
from sepcore.evaluation.comparison import Comparison, compare_scores  # noqa: E402
from sepcore.evaluation.run_scores import UNVERIFIED, is_of, run_scores  # noqa: E402
from sepcore.evaluation.score_folder import ScoreFolder, has_scores, read_score_folder  # noqa: E402
from sepcore.training.run_folder import RunFolder  # noqa: E402


def _main(arguments: argparse.Namespace) -> None:
    a, b = (_scores(named, arguments.work_dir) for named in (arguments.a, arguments.b))
    comparison = compare_scores(
        a.frames,
        b.frames,
        metric=arguments.metric,
        confidence=arguments.confidence,
        resamples=arguments.resamples,
        seed=arguments.seed,
    )
    allowed = arguments.allow_missing
    worse = comparison.worse_stems(arguments.margin, strict=arguments.strict, allow_missing=allowed)
    say([f"A: {_called(a)}", f"B: {_called(b)}", *_warnings(a, b)])
    print_comparison(comparison, worse)
    if arguments.out is not None:
        _write(arguments, a, b, comparison, worse)
        say([f"comparison: {arguments.out}"])
    judged = f"{comparison.metric}, margin {arguments.margin:g} dB"
    if worse:
        lacking = () if allowed else comparison.lacking_stems
        why = f"; B lacks scores of {', '.join(lacking)} that A has (--allow-missing accepts that)" if lacking else ""
        raise GateRefused(f"B is worse than A in {', '.join(worse)} ({judged}){why}")
    say([f"B is not worse than A in {', '.join(comparison.stems['target'])} ({judged})"])


def _scores(named: str, work_dir: Path) -> ScoreFolder:
    """Of a folder that has scores itself, or of the run that is named."""
    path = Path(named)
    place = path.resolve()  # `.` inside a run's evaluation, or a link to it, is the run's, too
    if place.name == "evaluation" and (place.parent / "config.json").is_file():
        path = path.parent if path.name == place.name and not path.is_symlink() else place.parent
    if path.is_dir() and not (path / "config.json").is_file():
        return read_score_folder(path)
    try:
        run = resolve_run(str(path), work_dir)
    except TrainingError as error:
        raise DatasetError(f"no such folder of scores, and as the name of a run: {error}") from error
    if not has_scores(run.evaluation):
        raise DatasetError(
            f"{run.path}: the run has no scores of tracks; make them: "
            f"python -m flows.evaluate -p {run.path} --csv test.csv -o {run.evaluation}"
        )
    scores = read_score_folder(run.evaluation)
    if problem := _problem(run, scores):
        raise DatasetError(
            f"{run.path}: the scores in {run.evaluation} {problem}; make them again: "
            f"python -m flows.evaluate -p {run.path} --csv test.csv -o {run.evaluation}"
        )
    return scores


def _problem(run: RunFolder, scores: ScoreFolder) -> str:
    """Why the scores of tracks are not the run's; those of an earlier version do not say whose they are."""
    if scores.made_from is None:
        return ""
    if not is_of(run, scores.made_from):
        return "are of other weights, or of another config"
    whole = run_scores(run).summary
    same = whole is not None and whole.made_from == scores.made_from
    return "" if same else "are not of a finished run and all of its test songs"


def _warnings(a: ScoreFolder, b: ScoreFolder) -> Iterator[str]:
    """What makes the comparison doubtful."""
    for scores in (a, b):
        if scores.made_from is None and (scores.path.parent / "config.json").is_file():
            yield f"warning: {scores.path}: {UNVERIFIED}"
    if a.made_from is not None and b.made_from is not None:
        if a.made_from.songs != b.made_from.songs:
            yield "warning: the test sets are not of the same songs; compared by the tracks' names"
    elif a.dataset and b.dataset and a.dataset != b.dataset:
        yield f"warning: the test sets have different names, {a.dataset} and {b.dataset}; compared by the tracks' names"


def _called(scores: ScoreFolder) -> str:
    return f"{scores.path}" + (f", scored on {scores.dataset}" if scores.dataset else "")


def _write(
    arguments: argparse.Namespace, a: ScoreFolder, b: ScoreFolder, comparison: Comparison, worse: tuple[str, ...]
) -> None:
    if arguments.out.suffix.lower() == ".parquet":
        with atomic_path(arguments.out) as temporary:
            comparison.tracks.to_parquet(temporary, index=False)
        return
    sides = {name: {"path": str(scores.path), "dataset": scores.dataset} for name, scores in (("a", a), ("b", b))}
    options = {name: getattr(arguments, name) for name in ("margin", "strict", "allow_missing", "resamples", "seed")}
    content = sides | options | {"worse": list(worse)} | comparison.content()
    write_text(arguments.out, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    assert ARGUMENTS is not None
    run_command(lambda: _main(ARGUMENTS))
