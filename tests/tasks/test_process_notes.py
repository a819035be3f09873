"""The notes of processes, some of which are killed."""

import socket
import subprocess
import sys

import pytest

from tasks.process_notes import Note, ProcessNotes

FIRST, SECOND = Note("prefect", "http://here/api", "1"), Note("mlflow", "sqlite:///here", "2")


@pytest.fixture
def other(tmp_path):
    """Starts a process that notes what it is given, and stays until it is killed."""
    started = []

    def start(*notes):
        script = f"""
import pathlib, sys
from tasks.process_notes import Note, ProcessNotes
notes = ProcessNotes(pathlib.Path({str(tmp_path)!r}))
for note in {notes!r}:
    notes.add(note)
print("noted", flush=True)
sys.stdin.read()
"""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", script], **pipes)
        started.append(process)
        assert process.stdout.readline() == "noted\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def settled(folder, done_with=lambda notes: notes):
    seen = []

    def settle(notes):
        seen.append(notes)
        return done_with(notes)

    ProcessNotes(folder).settle_dead(settle)
    return seen


def kill(process):
    process.kill()
    process.wait()


def test_what_a_killed_process_was_at_is_handed_over_once(other, tmp_path):
    process = other(FIRST, SECOND)
    assert settled(tmp_path) == []  # it is alive
    kill(process)
    assert settled(tmp_path) == [{FIRST, SECOND}]
    assert settled(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_over_is_not_handed_over(other, tmp_path):
    process = other(FIRST)
    notes = ProcessNotes(tmp_path)
    notes.add(SECOND)
    notes.remove(SECOND)
    (own,) = [file for file in tmp_path.glob("*.jsonl") if SECOND.where in file.read_text()]
    own.rename(own.with_name(f"{own.stem[:-8]}00000000.jsonl"))  # under another lock, as if its process had ended
    kill(process)
    assert settled(tmp_path) == [{FIRST}]


def test_what_is_not_done_with_is_kept_for_the_next_time(other, tmp_path):
    kill(other(FIRST, SECOND))
    assert settled(tmp_path, lambda notes: {SECOND}) == [{FIRST, SECOND}]
    assert settled(tmp_path) == [{FIRST}]
    assert settled(tmp_path) == []


def test_what_another_process_has_taken_up_is_left_to_it(other, tmp_path):
    kill(other(FIRST, SECOND))
    heir = other(FIRST)
    assert settled(tmp_path) == [{SECOND}]
    kill(heir)
    assert settled(tmp_path) == [{FIRST}]


@pytest.mark.parametrize("other_host", ["{}-gpu", "{}-1", "{}-1-2", "big-{}", "{}2", "{}.local"])
def test_what_another_machine_is_at_is_left_to_it(other, tmp_path, other_host):
    # Its locks cannot be seen on a shared disk, so that its living processes would look dead.
    host = socket.gethostname()
    kill(other(FIRST))
    (file,) = tmp_path.glob("*.jsonl")
    theirs = file.rename(file.with_name(file.name.replace(host, other_host.format(host), 1)))
    assert settled(tmp_path) == []
    assert theirs.is_file()


def test_half_a_line_of_a_killed_process_is_no_note(other, tmp_path):
    kill(other(FIRST))
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("a") as content:
        content.write('{"kind": "prefect", "wh')
    assert settled(tmp_path) == [{FIRST}]


def test_the_process_itself_is_alive(tmp_path):
    notes = ProcessNotes(tmp_path / "made")
    notes.add(FIRST)
    assert settled(tmp_path / "made") == []
