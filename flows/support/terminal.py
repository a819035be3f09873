"""What every command shows on the terminal: lines, a progress bar, scores. Nothing here imports Prefect."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from sepcore.system.printable import printable

if TYPE_CHECKING:
    from sepcore.evaluation.scores import ScoreSummary


def progress_bar(*more: ProgressColumn) -> Progress:
    """A bar on stderr: description, how many of how many, time elapsed and remaining, and ``more`` columns."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, TimeRemainingColumn(), *more, console=Console(stderr=True))


def say(lines: Iterable[str]) -> None:
    """Lines for the user on stdout; each stays one line, whatever names are in it."""
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    sys.stdout.flush()


def print_scores(summary: "ScoreSummary") -> None:
    """The medians of a test set beside the untouched mixture's."""
    tracks = f"{summary.num_tracks} {'track' if summary.num_tracks == 1 else 'tracks'}"
    pairs = {stem: (scores.mixture_sdr, scores.sdr) for stem, scores in summary.stems.items()}
    title = f"SDR on {summary.dataset} ({tracks}, median of medians, dB)"
    print_pairs(title, ("stem", "untouched mixture", "scored", "gain"), pairs)


def print_pairs(title: str, columns: Sequence[str], pairs: Mapping[str, tuple[float, float]]) -> None:
    """A table with a row a stem: two scores in dB, and how much the second is above the first."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column, justify="left" if column == "stem" else "right")
    for stem, (first, second) in pairs.items():
        table.add_row(stem, f"{first:.2f}", f"{second:.2f}", f"{second - first:+.2f}")
    Console().print(table)
