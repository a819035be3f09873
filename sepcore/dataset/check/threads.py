"""Songs measured in threads of this process: decoding, hashing and numpy run outside the interpreter's lock."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from sepcore.dataset.check.measure import SongMeasures, measure_song
from sepcore.dataset.manifest import TrackRow
from sepcore.system.cores import num_cores


def measure_in_threads(
    rows: Sequence[TrackRow], *, mix_name: str, num_threads: int | None = None
) -> Iterator[tuple[TrackRow, SongMeasures]]:
    """Measure songs side by side and yield each when it is done, in any order.

    Args:
        rows: The songs; only a few are under way at a time.
        mix_name: What the mixture is called.
        num_threads: Songs side by side; None: as many as there are cores.
    """
    threads = num_threads or num_cores()
    pool = ThreadPoolExecutor(threads)
    remaining = iter(rows)
    under_way: dict[Future[SongMeasures], TrackRow] = {}
    try:
        while True:
            # One more than there are threads waits, so that none stands idle while a result is taken.
            for row in islice(remaining, threads + 1 - len(under_way)):
                under_way[pool.submit(measure_song, row, mix_name=mix_name)] = row
            if not under_way:
                return
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield under_way.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)
