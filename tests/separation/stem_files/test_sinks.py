import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest

from sepcore.errors import AudioEncodeError
from sepcore.separation.stem_files.sinks import Sink, written_together
from tests.raised import raises
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


def names_in(folder):
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_get_their_names_when_all_are_complete(tmp_path):
    paths = [tmp_path / "a" / "vocals.wav", tmp_path / "b" / "drums.wav"]
    with written_together(paths) as drafts:
        for path, draft in drafts.items():
            draft.write_text(path.stem)
            assert not path.exists()
    assert names_in(tmp_path) == {"vocals.wav": "vocals", "drums.wav": "drums"}


def test_after_an_error_none_has_its_name_and_old_files_stay(tmp_path):
    old, new = tmp_path / "vocals.wav", tmp_path / "made" / "drums.wav"
    old.write_text("the old one")

    def fail():
        with written_together([old, new]) as drafts:
            for draft in drafts.values():
                draft.write_text("complete")
            raise FileNotFoundError("something of the caller's")

    with pytest.raises(FileNotFoundError, match="something of the caller's"):
        fail()
    assert names_in(tmp_path) == {"vocals.wav": "the old one"}
    assert not new.parent.exists()


def test_errors_of_encoders_name_the_final_files(tmp_path):
    def fail():
        with written_together([tmp_path / "vocals.mp3"]) as drafts:
            (draft,) = drafts.values()
            raise AudioEncodeError("too loud", path=draft, hint="Turn it down.", errno=errno.EIO)

    with raises(AudioEncodeError, "too loud", path=tmp_path / "vocals.mp3", hint="Turn it down.") as error:
        fail()
    assert error.value.errno == errno.EIO


def test_errors_about_other_files_are_let_through(tmp_path):
    def fail():
        with written_together([tmp_path / "vocals.mp3"]):
            raise AudioEncodeError("too loud", path=tmp_path / "other.mp3")

    with raises(AudioEncodeError, "too loud", path=tmp_path / "other.mp3"):
        fail()


def test_a_folder_that_appears_meanwhile_leaves_none(tmp_path):
    paths = [tmp_path / "vocals.wav", tmp_path / "drums.wav"]

    def write():
        with written_together(paths) as drafts:
            for draft in drafts.values():
                draft.write_text("complete")
            paths[0].mkdir()

    with raises(AudioEncodeError, "folder", path=paths[0]):
        write()
    assert names_in(tmp_path) == {}


def test_a_file_that_cannot_be_renamed_is_one_line(tmp_path):
    def write_nothing():
        with written_together([tmp_path / "vocals.wav"]):
            pass

    with raises(AudioEncodeError, os.strerror(errno.ENOENT), path=tmp_path / "vocals.wav") as error:
        write_nothing()
    assert error.value.errno == errno.ENOENT
