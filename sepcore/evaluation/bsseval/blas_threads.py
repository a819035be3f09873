"""BLAS on one thread while a track is scored."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

# The number of BLAS' threads is the process' own: two that change it at once would leave each other's behind. Nor is
# anything gained by two tracks at once, since each is scored on all cores.
_one_at_a_time = threading.RLock()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread; a caller in another thread waits until the first is done.

    Its threads wait for each other in busy loops: beside a separation that uses the cores, scoring took ten times as
    long with two of them (12 s against 1.4 for 10 s of four stereo stems); on a quiet machine it is 0.2 s slower.
    """
    with _one_at_a_time, threadpool_limits(limits=1, user_api="blas"):
        yield
