"""What the system's errors mean, wherever a file is read or written."""

import ast
import errno
import os
from pathlib import Path

import pytest

from sepcore.errors import AudioEncodeError
from sepcore.system_errors import cure_of, named_in, reason_of, system_error

ROOT = Path(__file__).resolve().parents[1]
FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]


def refused(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_room_is_asked_for_only_where_the_disk_is_full(number):
    assert (cure_of(refused(number)) == "make room") is (number in FULL)
    assert (cure_of(refused(number), reading=True) == "make room") is (number in FULL)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_may_not_be_done_has_a_cure_of_its_own(number):
    assert cure_of(refused(number)) == "make it writable"
    assert cure_of(refused(number), reading=True) == "make it readable"


def test_an_error_without_a_number_has_a_reason(tmp_path):
    assert reason_of(OSError("it broke")) == "it broke"


@pytest.mark.parametrize("number", [*FULL, errno.EACCES, errno.EROFS])
def test_an_error_is_found_by_its_cause_and_in_the_words_of_programs(number):
    assert system_error(refused(number)).errno == number
    error = AudioEncodeError("vocals.wav: cannot be written")
    error.__cause__ = refused(number)
    assert system_error(error).errno == number
    assert named_in(f"av_interleaved_write_frame(): {os.strerror(number)} (ffmpeg exit code 1)").errno == number
    assert system_error(AudioEncodeError("vocals.wav: too loud")) is None


def test_no_other_module_says_what_a_full_disk_is():
    found = set()
    for folder in ("sepcore", "tasks", "flows"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
                if "make room" in text or "free some space" in text or "No space left" in text:
                    found.add(file.name)
    assert found == {"system_errors.py"}
