"""A comparison of two evaluations as tables on the terminal."""

from collections.abc import Sequence

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sepcore.evaluation.comparison import Comparison

_SHOWN_TRACKS = 10
# Into a file or a pipe, where rich would take 80 columns and fold the numbers.
_PIPE_WIDTH = 120
# Columns that the table of stems needs, whose names are short; on a narrower terminal what can be spared goes.
_WIDE = 108
_SPARED = {"mean": "{mean_difference:+.2f}", "better": "{num_better}", "worse": "{num_worse}", "p": "{p:.2g}"}
_CAPTION = (
    "A, B: medians over tracks of their medians over frames. median, interval, mean, better, worse: of the tracks' own "
    "differences; the interval by bootstrap over tracks. p: Wilcoxon's signed-rank test, two-sided; Holm: corrected "
    "for the number of stems."
)


def print_comparison(comparison: Comparison, worse: Sequence[str]) -> None:
    """The stems, the tracks on which B loses most, what B lacks, and what was left out.

    Args:
        comparison: What was found.
        worse: The stems to mark, those that the gate refuses.
    """
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
    table.title = "scores that A has and B has not"
    table.add_column("tracks", justify="right", no_wrap=True)
    table.add_column("frames", justify="right", no_wrap=True)
    table.add_column("such as")
    for stem in comparison.lacking_stems:
        tracks = comparison.missing[comparison.missing["target"] == stem].sort_values("num_missing", ascending=False)
        frames = f"{tracks['num_missing'].sum()} of {tracks['num_frames'].sum()}"
        table.add_row(escape(stem), str(len(tracks)), frames, escape(str(tracks["track"].iloc[0])))
    return table
