"""A named model found, with a bar on stderr while it is downloaded."""

from sepcore.provider.resolve import LocalModel, locate_model


def locate_with_bar(params: str) -> LocalModel:
    """`sepcore.provider.resolve.locate_model`; the bar appears only if there is something to download."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    line = bar.add_task(f"download {params}", total=None)

    def show(done: int, total: int | None) -> None:
        bar.start()
        bar.update(line, completed=done, total=total)

    try:
        return locate_model(params, on_progress=show)
    finally:
        if bar.live.is_started:
            bar.stop()
