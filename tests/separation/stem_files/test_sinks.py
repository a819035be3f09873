import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from sepcore.separation.stem_files.sinks import Sink
from tests.repository import ROOT

BLOCK = {"vocals": np.zeros((10, 2), np.float32)}


# Ctrl-C goes to a process of its own, when it says so. It tells what was done, then what came of it.
PROGRAM = """
import sys, threading, time
from contextlib import contextmanager
import numpy as np
from sepcore.separation.stem_files.sinks import Sink

BLOCK = {"vocals": np.zeros((10, 2), np.float32)}
done = []

def interrupt():
    print("now", flush=True)
    sys.stdin.readline()  # it has been sent
    time.sleep(0.1)
    done.append("interrupted")

@contextmanager
def open_file():
    yield encode
    AT_THE_END

def encode(block):
    IN_A_BLOCK

try:
    with Sink(open_file, ("vocals",)) as sink:
        sink.start()
        sink.write(BLOCK)
        sink.write(BLOCK)  # waits behind the first; so does the end
except KeyboardInterrupt:
    done.append("ended")
print(*done, threading.active_count())
"""


def outcome(**places):
    program = PROGRAM
    for place in ("AT_THE_END", "IN_A_BLOCK"):
        program = program.replace(place, places.get(place, "pass"))
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    return said.split()


def test_ctrl_c_while_the_last_block_is_encoded_waits_for_the_thread():
    # Otherwise it would finish a file whose place has been cleared already.
    assert outcome(AT_THE_END="interrupt()") == ["interrupted", "ended", "1"]


def test_ctrl_c_while_a_block_waits_for_its_turn_abandons_the_file():
    kept = outcome(IN_A_BLOCK="if not done: interrupt()", AT_THE_END="done.append('kept')")
    assert kept == ["interrupted", "ended", "1"]


def test_ctrl_c_in_the_start_of_the_thread_opens_no_file(monkeypatch):
    opened = []

    @contextmanager
    def open_file():
        opened.append(True)
        yield lambda blocks: None

    sink = Sink(open_file, ("vocals",))
    late = threading.Timer(0.1, sink._thread.start)

    def interrupted():  # the system has been asked for a thread that does not run yet
        late.start()
        raise KeyboardInterrupt

    monkeypatch.setattr(sink._thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), sink:
        sink.start()
    late.join()
    sink._thread.join(10)  # one that had opened the file would wait for its end
    assert not opened


def test_a_slow_encoder_holds_up_whoever_writes_instead_of_filling_the_memory():
    written, encoded, may_go_on = [], [], threading.Semaphore(0)

    @contextmanager
    def slow():
        yield encode

    def encode(blocks):
        may_go_on.acquire()
        encoded.append(len(written))

    def write():
        for number in range(20):
            sink.write(BLOCK)
            written.append(number)

    with Sink(slow, ("vocals",)) as sink:
        sink.start()
        writer = threading.Thread(target=write)
        writer.start()
        for _ in range(20):
            writer.join(0.01)  # long enough for a writer whom nothing holds up
            may_go_on.release()
        writer.join()
    # One is encoded, one waits, and one is handed on meanwhile.
    assert max(ahead - number for number, ahead in enumerate(encoded)) <= 3
