"""The bars of songs that are being separated in this process: one for all, and one for each that is under way."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from sepcore.batch.estimate import audio_seconds
from sepcore.batch.song import Song
from sepcore.errors import AudioDecodeError
from sepcore.separation.stem_files.options import StemFileOptions


class SongBars:
    """Bars on stderr, which any thread may move.

    Args:
        total: Songs in all.
        done: Those of them that need no separation.
        options: What is read of a song, of which its length follows.
        sample_rate: Of what is reported.
    """

    def __init__(self, total: int, *, done: int, options: StemFileOptions, sample_rate: int) -> None:
        self._total, self._options, self._sample_rate = total, options, sample_rate
        # Names are shown as they are, and do not push the bar away.
        names = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        times = TimeElapsedColumn(), TimeRemainingColumn()
        self._bars = Progress(names, BarColumn(), TaskProgressColumn(), *times, console=Console(stderr=True))
        self._all = self._bars.add_task("", total=total, completed=done)
        self._say()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()

    @contextmanager
    def song(self, song: Song) -> Iterator[Callable[[int], None]]:
        """A bar for one song while it is separated; yields what is told the samples that are done."""
        line = self._bars.add_task(song.shown_name, total=self._length(song))
        try:
            yield lambda samples: self._bars.advance(line, samples / self._sample_rate)
        finally:
            self._bars.remove_task(line)
        self._bars.advance(self._all)
        self._say()

    def _say(self) -> None:
        done = round(next(task.completed for task in self._bars.tasks if task.id == self._all))
        self._bars.update(self._all, description=f"separate {done}/{self._total}")

    def _length(self, song: Song) -> float | None:
        if not self._bars.console.is_terminal:  # nobody sees the bar move: no ffprobe for it
            return None
        try:
            return audio_seconds(song.path, self._options)
        except (AudioDecodeError, OSError):  # said by who separates it
            return None
