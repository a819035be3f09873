import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from sepcore.evaluation.blas_threads import one_blas_thread


def num_threads():
    assert (np.ones((2, 2)) @ np.ones(2)).all()  # BLAS is loaded
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_has_its_threads_back_whoever_used_one_and_however_that_ended():
    before, seen = num_threads(), []

    def use():
        with one_blas_thread():
            seen.append(num_threads())

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert seen == [{1}] * 4
    assert num_threads() == before
