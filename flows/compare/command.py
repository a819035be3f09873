"""The comparison of two evaluations, and its verdict."""

import json
from collections.abc import Iterator
from pathlib import Path

from flows.compare.options import Options
from flows.compare.table import print_comparison
from flows.support.runs import resolve_run
from flows.support.terminal import say
from sepcore.errors import DatasetError, GateRefused, TrainingError
from sepcore.evaluation.comparison import Comparison, compare_scores
from sepcore.evaluation.run_scores import UNVERIFIED, is_of, run_scores
from sepcore.evaluation.scores import ScoreFolder, has_scores, read_score_folder
from sepcore.system.atomic import atomic_path, write_text
from sepcore.training.run_folder import RunFolder


def main(options: Options) -> None:
    """Compare, and refuse a B that is worse."""
    a, b = (_scores(named, options.work_dir) for named in (options.a, options.b))
    comparison = compare_scores(
        a.frames,
        b.frames,
        metric=options.metric,
        confidence=options.confidence,
        resamples=options.resamples,
        seed=options.seed,
    )
    allowed = options.allow_missing
    worse = comparison.worse_stems(options.margin, strict=options.strict, allow_missing=allowed)
    say([f"A: {_called(a)}", f"B: {_called(b)}", *_warnings(a, b)])
    print_comparison(comparison, worse)
    if options.out is not None:
        _write(options.out, options, a, b, comparison, worse)
        say([f"comparison: {options.out}"])
    judged = f"{comparison.metric}, margin {options.margin:g} dB"
    if worse:
        lacking = () if allowed else comparison.lacking_stems
        lacks = f", and lacks scores of {', '.join(lacking)} that A has" if lacking else ""
        raise GateRefused(
            f"B is worse than A in {', '.join(worse)} ({judged}){lacks}",
            hint="--allow-missing accepts missing scores." if lacking else "",
        )
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
        raise DatasetError(
            f"no such folder of scores, and as the name of a run: {error.problem}", path=error.path, hint=error.hint
        ) from error
    evaluate = f"`python -m flows.evaluate -p {run.path} --csv test.csv -o {run.evaluation}`"
    if not has_scores(run.evaluation):
        raise DatasetError("the run has no scores of tracks", path=run.path, hint=f"Make them with {evaluate}.")
    scores = read_score_folder(run.evaluation)
    if problem := _problem(run, scores):
        raise DatasetError(
            f"the scores in {run.evaluation} {problem}", path=run.path, hint=f"Make them again with {evaluate}."
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
    out: Path, options: Options, a: ScoreFolder, b: ScoreFolder, comparison: Comparison, worse: tuple[str, ...]
) -> None:
    if out.suffix.lower() == ".parquet":
        with atomic_path(out) as temporary:
            comparison.tracks.to_parquet(temporary, index=False)
        return
    sides = {name: {"path": str(scores.path), "dataset": scores.dataset} for name, scores in (("a", a), ("b", b))}
    given = {name: getattr(options, name) for name in ("margin", "strict", "allow_missing", "resamples", "seed")}
    content = sides | given | {"worse": list(worse)} | comparison.content()
    write_text(out, json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
