import logging
import multiprocessing
import os
import signal
import threading

import pytest

from sepcore.system import locks as file_lock
from sepcore.system.locks import is_held, locked


def test_the_lock_leaves_no_file_after_an_error_either(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "lock", "work"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_one_at_a_time_though_the_file_goes_at_every_release(tmp_path):
    inside, most = [], []

    def work():
        for _ in range(30):
            with locked(tmp_path / "lock", "work"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 120
    assert set(most) == {1}


def _hold(path, held):
    with locked(path, "work"):
        held.set()
        signal.pause()


def test_a_killed_process_holds_nothing(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(file_lock, "_QUIET_S", 0.01)
    spawn = multiprocessing.get_context("spawn")
    held = spawn.Event()
    holder = spawn.Process(target=_hold, args=(tmp_path / "lock", held))
    holder.start()
    assert held.wait(30)
    threading.Timer(0.3, os.kill, (holder.pid, signal.SIGKILL)).start()
    with caplog.at_level(logging.WARNING), locked(tmp_path / "lock", "fetching 2stems"):
        pass
    assert caplog.messages == ["waiting for another process: fetching 2stems"]
    holder.join()


def test_a_users_file_that_is_called_like_a_lock_is_left_alone_and_named(tmp_path):
    notes = tmp_path / ".thesis.lock"
    notes.write_text("notes")
    with pytest.raises(FileExistsError) as error, locked(notes, "work"):
        pass
    assert error.value.filename == str(notes)
    with pytest.raises(FileExistsError) as error:
        is_held(notes)
    assert error.value.filename == str(notes)
    assert notes.read_text() == "notes"
