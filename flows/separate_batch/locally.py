"""Songs separated in this process, without Prefect: one after the other, or several at a time with one network."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from threading import Event

from flows.separate_batch.batch import Batch
from flows.support.song_bars import SongBars
from sepcore.batch.records import remove_other_records
from sepcore.batch.run import separate_song
from sepcore.batch.song import Outcome, Song, failed
from sepcore.separation.shared import shared_separator


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
