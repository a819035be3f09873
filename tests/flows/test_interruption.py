"""Ctrl-C, SIGTERM and a closed terminal, sent to a process that does the work of a command."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from tests.repository import ROOT

pytestmark = pytest.mark.slow

LINE = "Interrupted. Completed work was kept, and nothing is half-written. Run the same command again to resume.\n"
# argv: a folder for output, what to do, and what is ignored at the start, as by nohup or a script's background job.
SCRIPT = """
import gc, os, signal, sys, tempfile, time
from pathlib import Path

for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    signal.signal(getattr(signal, name), signal.SIG_IGN if name in sys.argv[3:] else signal.SIG_DFL)
if "SIGINT" not in sys.argv[3:]:
    signal.signal(signal.SIGINT, signal.default_int_handler)

from flows.support.command import run_command, set_up_process
from sepcore.system.atomic import atomic_path

class Song:
    def __del__(self):
        interrupted()

def interrupted():
    print("ready", flush=True)
    for _ in range(3000):
        time.sleep(0.01)

def when_collecting(phase, info):
    gc.callbacks.remove(when_collecting)
    interrupted()

def work():
    with tempfile.TemporaryDirectory(), atomic_path(Path(sys.argv[1], "out", "song.wav")) as half:
        half.touch()
        if sys.argv[2] == "finalizer":
            Song()
        elif sys.argv[2] == "collector":
            gc.callbacks.append(when_collecting)
            gc.collect()
        try:
            interrupted()
        finally:
            if sys.argv[2] == "slow end":
                print("cleaning", flush=True)
                time.sleep(1)

set_up_process(verbose=False)
run_command(work)
"""


@pytest.fixture
def start(tmp_path):
    """Starts the process and waits until it is ready to be interrupted."""
    started = []
    (tmp_path / "temporary").mkdir()

    def process(what="plain", *ignored, stderr=subprocess.PIPE):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary")}
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), what, *(number.name for number in ignored)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": stderr}
        started.append(subprocess.Popen(command, env=environment, text=True, **pipes))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield process
    for one in started:
        one.kill()
        one.communicate()


def assert_ended_well(process, folder):
    stderr = process.communicate(timeout=50)[1]
    assert process.returncode == 130, stderr
    assert stderr in (LINE, None)
    assert [path.name for path in folder.rglob("*")] == ["temporary"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("place", ["plain", "finalizer", "collector"])
def test_every_interruption_ends_in_one_line_with_nothing_left(start, tmp_path, number, place):
    # Python cannot raise it in a finalizer, or in a callback of the garbage collector, of which jax has one.
    process = start(place)
    process.send_signal(number)
    assert_ended_well(process, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_that_comes_twice_does_not_interrupt_the_clean_up(start, tmp_path, number):
    process = start("slow end")
    process.send_signal(number)
    assert process.stdout.readline() == "cleaning\n"
    for again in (signal.SIGHUP, signal.SIGTERM):
        process.send_signal(again)
    assert_ended_well(process, tmp_path)


@pytest.mark.parametrize("place", ["plain", "finalizer"])
def test_a_job_that_ignores_ctrl_c_ends_by_sigterm(start, tmp_path, place):
    process = start(place, signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert_ended_well(process, tmp_path)


def test_what_nohup_started_outlives_its_terminal(start, tmp_path):
    process = start("plain", signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert_ended_well(process, tmp_path)


def test_a_terminal_that_is_gone_takes_no_line_and_the_end_is_the_same(start, tmp_path):
    ours, its = pty.openpty()
    process = start(stderr=its)
    os.close(its)
    os.close(ours)
    process.send_signal(signal.SIGHUP)  # the kernel sends it where the terminal is the process's own
    assert_ended_well(process, tmp_path)
