"""A bar on stderr while models are downloaded or uploaded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sepcore.provider.resolve import LocalModel, locate_model
from sepcore.provider.transfer import OnProgress
from sepcore.release.github_assets import OnUpload


@contextmanager
def _transfer_bar() -> Iterator[Callable[[str, int, int | None], None]]:
    """What a transfer tells which file is how far; the bar appears only if there is something to transfer."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    line = bar.add_task("", total=None)

    def show(file: str, done: int, total: int | None) -> None:
        bar.start()
        bar.update(line, description=file, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def download_bar(name: str) -> Iterator[OnProgress]:
    """What a download tells how far it is, see `sepcore.provider.transfer.download`."""
    with _transfer_bar() as show:
        yield lambda done, total: show(f"download {name}", done, total)


@contextmanager
def upload_bar() -> Iterator[OnUpload]:
    """What an upload tells how far it is, see `sepcore.release.github.upload_release`."""
    with _transfer_bar() as show:
        yield lambda file, done, total: show(f"upload {file}", done, total)


def locate_with_bar(params: str) -> LocalModel:
    """`sepcore.provider.resolve.locate_model` with a bar."""
    with download_bar(params) as show:
        return locate_model(params, on_progress=show)
