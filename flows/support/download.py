"""A bar on stderr while models are downloaded or uploaded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sepcore.provider.resolve import LocalModel, locate_model


@contextmanager
def transfer_bar(verb: str) -> Iterator[Callable[[str, int, int | None], None]]:
    """A function to be told how many bytes of a file are transferred, of how many; its first call shows the bar."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    line = bar.add_task("", total=None)

    def show(file: str, done: int, total: int | None) -> None:
        bar.start()
        bar.update(line, description=f"{verb} {file}", completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def locate_with_bar(params: str) -> LocalModel:
    """`sepcore.provider.resolve.locate_model` with a bar."""
    with transfer_bar("download") as show:
        return locate_model(params, on_progress=partial(show, params))
