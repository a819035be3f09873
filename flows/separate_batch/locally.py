"""Songs separated in this process, without Prefect: one after the other, or several at a time with one network."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from itertools import islice
from pathlib import Path
from threading import Event, Thread

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


class _Stopped(Exception):
    """Raised in a thread in the middle of a song, when the work is to end."""


def separate_locally(
    batch: Batch, songs: Sequence[Song], *, workers: int = 1, overwrite: bool = False
) -> dict[Path, Outcome]:
    """Separate the songs of a batch that are not done, with bars on stderr; one that fails does not stop the others.

    With ``overwrite`` also songs that another process has just done.

    Raises:
        StemworksError: no song can be separated: a full disk, weights that do not fit. Songs that are being separated
            then stop, and leave nothing half-written.
    """
    if not songs:
        return {}
    batch.separator.load_early()
    # Imported while the network is loaded and runs.
    Thread(target=import_module, args=["sepcore.batch.summary"], daemon=True).start()
    remove_other_records(songs)
    stop = Event()
    with _bars(batch, len(songs)) as bar_of:

        def separate(song: Song) -> Outcome:
            with bar_of(song) as advance:

                def on_samples(samples: int) -> None:
                    if stop.is_set():
                        raise _Stopped
                    advance(samples)

                try:
                    separator = shared_separator(batch.separator.settings)
                    return separate_song(
                        separator, song, batch.options, on_samples=on_samples, unless_done=not overwrite
                    )
                except OSError as error:
                    return failed(song.path, error)

        # With one worker in the main thread, where Ctrl-C arrives.
        outcomes = map(separate, songs) if workers == 1 else _in_threads(separate, songs, workers, stop)
        return {outcome.song: outcome for outcome in outcomes}


def _in_threads(
    separate: Callable[[Song], Outcome], songs: Sequence[Song], workers: int, stop: Event
) -> Iterator[Outcome]:
    remaining = iter(songs)
    started: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                started |= {pool.submit(separate, song) for song in islice(remaining, workers + 1 - len(started))}
                if not started:
                    return
                finished, started = wait(started, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            stop.set()
            for future in started:
                future.cancel()


_Bar = Callable[[Song], AbstractContextManager[Callable[[int], None]]]


@contextmanager
def _bars(batch: Batch, num_pending: int) -> Iterator[_Bar]:
    """Bars on stderr, one for all songs and one for each that is being separated; any thread may move them.

    Yields a function that opens a song's bar, which is then told how many more samples are done.
    """
    total, sample_rate = len(batch.songs), batch.separator.config.sample_rate
    # Names are shown as they are, and do not push the bar away.
    names = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    times = TimeElapsedColumn(), TimeRemainingColumn()
    bars = Progress(names, BarColumn(), TaskProgressColumn(), *times, console=Console(stderr=True))
    num_done = total - num_pending
    all_songs = bars.add_task(f"separate {num_done}/{total}", total=total, completed=num_done)

    @contextmanager
    def bar_of(song: Song) -> Iterator[Callable[[int], None]]:
        line = bars.add_task(song.shown_name, total=length(song))
        try:
            yield lambda samples: bars.advance(line, samples / sample_rate)
        finally:
            bars.remove_task(line)
        bars.advance(all_songs)
        bars.update(all_songs, description=f"separate {bars.tasks[0].completed:.0f}/{total}")

    def length(song: Song) -> float | None:
        if not bars.console.is_terminal:  # nobody sees the bar move: no ffprobe for it
            return None
        try:
            return audio_seconds(song.path, batch.options)
        except (AudioDecodeError, OSError):  # `separate_song` reports it
            return None

    with bars:
        yield bar_of
