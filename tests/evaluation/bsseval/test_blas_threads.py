import os
import subprocess
import sys

# In a process of its own: the workers of the tests start BLAS with one thread, which would be no change.
SCRIPT = """
import threading
import numpy as np
from threadpoolctl import threadpool_info
from sepcore.evaluation.bsseval.blas_threads import one_blas_thread

def num_threads():
    assert (np.ones((2, 2)) @ np.ones(2)).all()  # BLAS is loaded
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

def use():
    with one_blas_thread():
        seen.append(num_threads())

before, seen = num_threads(), []
users = [threading.Thread(target=use) for _ in range(4)]
for user in users:
    user.start()
for user in users:
    user.join()
try:
    with one_blas_thread(), one_blas_thread():
        seen.append(num_threads())
        raise KeyError
except KeyError:
    print(before, seen, num_threads())
"""


def test_blas_has_its_threads_back_whoever_used_one_and_however_that_ended():
    command = [sys.executable, "-c", SCRIPT]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    usual = min(2, os.cpu_count() or 1)  # OpenBLAS takes no more threads than there are cores
    assert ran.stdout.strip() == f"{{{usual}}} {[{1}] * 5} {{{usual}}}"
