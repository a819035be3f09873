"""Songs separated in this process, without Prefect: one after the other, or several at a time with one network."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from flows.separate_batch.batch import Batch
from sepcore.batch.estimate import audio_seconds
from sepcore.batch.records import remove_other_records
from sepcore.batch.run import separate_song
from sepcore.batch.song import Outcome, Song, failed
from sepcore.errors import AudioDecodeError
from sepcore.separation.shared import shared_separator
from sepcore.separation.stem_files.options import StemFileOptions


class _Stopped(Exception):
    """Raised in a thread in the middle of a song, when the work is to end."""


def separate_locally(
    batch: Batch, songs: Sequence[Song], *, workers: int = 1, overwrite: bool = False
) -> dict[Path, Outcome]:
    """Separate songs of a batch, with bars on stderr; what ends one song's work does not end the others'.

    Args:
        batch: What is to be done.
        songs: Those of its songs that are not done.
        workers: How many at a time.
        overwrite: Separate also what another process has just done.

    Raises:
        StemworksError: what no song can be separated with: a full disk, weights that do not fit. The other songs that
            are under way then stop, and leave nothing half-written.
    """
    if not songs:
        return {}
    remove_other_records(songs)
    stop = Event()
    settings, options = batch.separator.settings, batch.options
    rate, done = batch.separator.config.sample_rate, len(batch.songs) - len(songs)
    with SongBars(len(batch.songs), done=done, options=options, sample_rate=rate) as bars:

        def separate(song: Song) -> Outcome:
            with bars.song(song) as advance:

                def on_samples(samples: int) -> None:
                    if stop.is_set():
                        raise _Stopped
                    advance(samples)

                try:
                    separator = shared_separator(settings)
                    return separate_song(separator, song, options, on_samples=on_samples, unless_done=not overwrite)
                except OSError as error:
                    return failed(song.path, error)

        # With one worker in the main thread, where Ctrl-C arrives.
        outcomes = map(separate, songs) if workers == 1 else _in_threads(separate, songs, workers, stop)
        return {outcome.song: outcome for outcome in outcomes}


def _in_threads(
    separate: Callable[[Song], Outcome], songs: Sequence[Song], workers: int, stop: Event
) -> Iterator[Outcome]:
    remaining = iter(songs)
    under_way: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                more = islice(remaining, workers + 1 - len(under_way))
                under_way |= {pool.submit(separate, song) for song in more}
                if not under_way:
                    return
                finished, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            stop.set()
            for future in under_way:
                future.cancel()


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
