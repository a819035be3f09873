"""Ctrl-C where Python cannot raise it: in a callback of the garbage collector, as jax has one, or in a finalizer."""

import subprocess
import sys

import pytest

SCRIPT = """
import gc, os, signal, sys, time
from flows.command import run_command, set_up_process

class Song:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass

def when_collecting(phase, info):
    gc.callbacks.remove(when_collecting)
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass

def work():
    if sys.argv[1] == "finalizer":
        Song()
    else:
        gc.callbacks.append(when_collecting)
        gc.collect()
    for second in range(60):
        time.sleep(1)

set_up_process(verbose=False)
run_command(work)
"""


@pytest.mark.parametrize("place", ["finalizer", "collector"])
def test_ctrl_c_that_a_callback_swallows_comes_again(place):
    ended = subprocess.run([sys.executable, "-c", SCRIPT, place], capture_output=True, text=True, timeout=50)
    assert ended.stderr == "interrupted; what is finished is kept, nothing is half-written\n"
    assert ended.returncode == 130
