"""What every command shows on the terminal: lines and a progress bar. Nothing here waits for Prefect's import."""

import sys
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sepcore.system.printable import printable


def progress_bar() -> Progress:
    """A bar on stderr: what, how many of how many, time gone and left."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    # A song's name may look like rich's markup.
    note = TextColumn("{task.fields[note]}", markup=False)
    return Progress(*columns, TimeRemainingColumn(), note, console=Console(stderr=True))


def say(lines: Iterable[str]) -> None:
    """Lines for the user on stdout; each stays one line, whatever names are in it."""
    sys.stdout.writelines(f"{printable(line)}\n" for line in lines)
    sys.stdout.flush()
