"""A bar on stderr while a model is downloaded."""

from collections.abc import Iterator
from contextlib import contextmanager

from sepcore.provider.resolve import LocalModel, locate_model
from sepcore.provider.transfer import OnProgress


@contextmanager
def download_bar(name: str) -> Iterator[OnProgress]:
    """What a download tells how far it is; the bar appears only if there is something to download."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    line = bar.add_task(f"download {name}", total=None)

    def show(done: int, total: int | None) -> None:
        bar.start()
        bar.update(line, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def locate_with_bar(params: str) -> LocalModel:
    """`sepcore.provider.resolve.locate_model` with a bar."""
    with download_bar(params) as show:
        return locate_model(params, on_progress=show)
