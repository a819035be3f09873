"""What the suite forbids its own tests is forbidden."""

import ast
import os
import signal
import threading
from pathlib import Path

import pytest

from tests.surroundings import changes, surroundings

TESTS = Path(__file__).parent
# What reaches this process without the system's kill, which is refused where it is called.
_INTERRUPTS = {"raise_signal", "interrupt_main", "setitimer", "alarm"}


@pytest.mark.parametrize(
    "send",
    [
        lambda: os.kill(os.getpid(), signal.SIGINT),
        lambda: os.kill(0, signal.SIGINT),
        lambda: os.killpg(os.getpgrp(), signal.SIGINT),
        lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT),
    ],
)
def test_no_signal_can_be_sent_to_the_process_of_the_tests(send):
    with pytest.raises(RuntimeError, match="is for the process that runs the tests"):
        send()


def test_no_test_interrupts_its_own_process():
    # Programs that tests start are strings here.
    found = {
        (file.name, name)
        for file in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if (name := getattr(node, "attr", getattr(node, "id", None))) in _INTERRUPTS
    }
    assert not found


def test_what_a_test_leaves_changed_is_named(monkeypatch, tmp_path):
    before = surroundings()
    gate = threading.Event()
    left = threading.Thread(target=gate.wait, name="left")
    monkeypatch.setenv("LEFT", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.unraisablehook", print)
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    left.start()
    try:
        told = "; ".join(changes(before, surroundings()))
    finally:
        signal.signal(signal.SIGTERM, handler)
        gate.set()
        left.join()
    for name in ("$LEFT was added", "the working directory was", "sys.unraisablehook", "SIGTERM", "left still runs"):
        assert name in told
