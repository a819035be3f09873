"""Progress of Prefect's tasks and of a training, and its scores, on the terminal."""

from collections.abc import Sequence
from typing import TypeVar

from prefect.futures import PrefectFuture
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from flows.support.terminal import progress_bar
from sepcore.evaluation.scores import ScoreSummary
from sepcore.training.metrics_log import MetricsRecord

Result = TypeVar("Result")


def results(futures: Sequence[PrefectFuture[Result]], description: str) -> list[Result]:
    """Wait for tasks in their order, with a bar; the first failure is raised."""
    with progress_bar() as bar:
        line = bar.add_task(description, total=len(futures), note="")
        collected = []
        for future in futures:
            collected.append(future.result())
            bar.advance(line)
    return collected


class TrainingProgress:
    """A bar over the steps that shows the last losses."""

    def __init__(self, bar: Progress, name: str, max_steps: int) -> None:
        self._bar = bar
        self._line = bar.add_task(f"train {name}", total=max_steps, note="")
        self._notes: dict[str, str] = {}

    def __call__(self, record: MetricsRecord) -> None:
        """Take what the trainer reports."""
        for key in ("train_loss", "validation_loss", "validation_SDR"):
            if key in record.metrics:
                self._notes[key] = f"{key} {record.metrics[key]:.4g}"
        self._bar.update(self._line, completed=record.step, note="  ".join(self._notes.values()))


def print_scores(summary: ScoreSummary) -> None:
    """The medians of a test set beside the untouched mixture's."""
    tracks = f"{summary.num_tracks} {'track' if summary.num_tracks == 1 else 'tracks'}"
    table = Table(title=f"SDR on {summary.dataset} ({tracks}, median of medians, dB)")
    for column in ("stem", "untouched mixture", "scored", "gain"):
        table.add_column(column, justify="left" if column == "stem" else "right")
    for stem, scores in summary.stems.items():
        gain = scores.sdr - scores.mixture_sdr
        table.add_row(stem, f"{scores.mixture_sdr:.2f}", f"{scores.sdr:.2f}", f"{gain:+.2f}")
    Console().print(table)
