"""The comparison of two evaluations, and its verdict."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.compare.options import Options
from flows.support.inputs import resolve_run
from flows.support.terminal import say
from sepcore.errors import DatasetError, GateRefused, TrainingError
from sepcore.evaluation.comparison import Comparison, compare_scores
from sepcore.evaluation.run_scores import UNVERIFIED, is_of, run_scores
from sepcore.evaluation.scores import ScoreFolder, has_scores, read_score_folder
from sepcore.system.atomic import atomic_path, write_text
from sepcore.training.run_folder import RunFolder

_SHOWN_TRACKS = 10
# Into a file or a pipe, where rich would take 80 columns and fold the numbers.
_PIPE_WIDTH = 120
# Columns that the table of stems needs, whose names are short; on a narrower terminal the less important ones go.
_WIDE = 108
_SPARED = {"mean": "{mean_difference:+.2f}", "better": "{num_better}", "worse": "{num_worse}", "p": "{p:.2g}"}
_CAPTION = (
    "A, B: medians over tracks of their medians over frames. median, interval, mean, better, worse: of the tracks' own "
    "differences; the interval by bootstrap over tracks. p: Wilcoxon's signed-rank test, two-sided; Holm: corrected "
    "for the number of stems."
)


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
    """The scores in a folder, or those of a run, given by any of its names."""
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
    """Why the scores of tracks are not the run's; scores of an earlier version cannot be checked."""
    if scores.made_from is None:
        return ""
    if not is_of(run, scores.made_from):
        return "are of other weights, or of another config"
    whole = run_scores(run).summary
    same = whole is not None and whole.made_from == scores.made_from
    return "" if same else "are not of a finished run and all of its test songs"


def _warnings(a: ScoreFolder, b: ScoreFolder) -> Iterator[str]:
    """Warnings about a doubtful comparison."""
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


def print_comparison(comparison: Comparison, worse: Sequence[str]) -> None:
    """The stems, the tracks on which B loses most, scores that B lacks, and notes; the ``worse`` stems are marked."""
    console = Console()
    if not console.is_terminal:
        console.width = _PIPE_WIDTH
    console.print(_stems(comparison, worse, narrow=console.width < _WIDE), highlight=False)
    losses = comparison.tracks[comparison.tracks["difference"] < 0]
    if len(losses):
        console.print(_losses(losses), highlight=False)
    if len(comparison.missing):
        console.print(_lacking(comparison), highlight=False)
    for note in comparison.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def _stems(comparison: Comparison, worse: Sequence[str], *, narrow: bool) -> Table:
    interval = f"{100 * comparison.confidence:g} % interval"
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, caption=_CAPTION, caption_justify="left")
    table.add_column("stem", no_wrap=True)
    table.title = f"{comparison.metric} in dB: B beside A on the same tracks"
    columns = {
        "tracks": "{num_tracks}",
        "A": "{a:.2f}",
        "B": "{b:.2f}",
        "B - A": "{difference_of_medians:+.2f}",
        "median": "{median_difference:+.2f}",
        interval: "{low:+.2f} to {high:+.2f}",
        **({} if narrow else _SPARED),
        "p (Holm)": "{p_holm:.2g}",
    }
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for stem in comparison.stems.to_dict("records"):
        cells = (form.format_map(stem) for form in columns.values())
        table.add_row(escape(stem["target"]), *cells, style="red" if stem["target"] in worse else "")
    return table


def _losses(losses: pd.DataFrame) -> Table:
    """Of tracks sorted by their difference, the greatest loss first."""
    table = Table("track", "stem", box=SIMPLE_HEAD)
    table.title = f"greatest losses of B, {min(_SHOWN_TRACKS, len(losses))} of {len(losses)} (--out keeps all tracks)"
    for column in ("A", "B", "B - A"):
        table.add_column(column, justify="right", no_wrap=True)
    for loss in losses.head(_SHOWN_TRACKS).to_dict("records"):
        scores = f"{loss['a']:.2f}", f"{loss['b']:.2f}", f"{loss['difference']:+.2f}"
        table.add_row(escape(loss["track"]), escape(loss["target"]), *scores)
    return table


def _lacking(comparison: Comparison) -> Table:
    """A row a stem of which B lacks scores that A has."""
    table = Table("stem", box=SIMPLE_HEAD)
    table.title = "scores that A has and B lacks"
    table.add_column("tracks", justify="right", no_wrap=True)
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column("such as")
    for stem in comparison.lacking_stems:
        tracks = comparison.missing[comparison.missing["target"] == stem].sort_values("num_missing", ascending=False)
        frames = f"{tracks['num_missing'].sum()} of {tracks['num_frames'].sum()}"
        table.add_row(escape(stem), str(len(tracks)), frames, escape(str(tracks["track"].iloc[0])))
    return table
