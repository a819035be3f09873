"""What the system's errors mean, wherever a file is read or written."""

import ast
import errno
import os

import pytest

from sepcore.errors import AudioEncodeError, OutputNotWritable
from sepcore.system.os_errors import EVERY_WRITE_REFUSED, errno_of, fix_for, named_in, reason_of
from tests.repository import ROOT

FULL = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG]


def refused(number):
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_space_is_asked_for_only_where_the_disk_is_full(number):
    assert (fix_for(refused(number)) == "Free some space") is (number in FULL)
    assert (fix_for(refused(number), reading=True) == "Free some space") is (number in FULL)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_may_not_be_done_has_a_fix_of_its_own(number):
    assert fix_for(refused(number)) == "Make it writable"
    assert fix_for(refused(number), reading=True) == "Make it readable"


def test_an_error_of_ours_has_the_fix_of_the_error_that_it_names():
    assert fix_for(AudioEncodeError("cannot be written", errno=errno.ENOSPC)) == fix_for(refused(errno.ENOSPC))
    assert fix_for(AudioEncodeError("too loud")) == fix_for(refused(errno.EEXIST))


def test_an_error_without_a_number_has_a_reason():
    assert reason_of(OSError("it broke")) == "it broke"


@pytest.mark.parametrize("number", [*FULL, errno.EACCES, errno.EROFS, errno.EIO])
def test_an_errors_number_is_its_own_or_that_of_its_cause(number):
    assert errno_of(refused(number)) == number
    assert errno_of(AudioEncodeError("cannot be written", path="vocals.wav", errno=number)) == number
    error, middle = OutputNotWritable("takes no more"), ValueError("a middle one")
    error.__cause__, middle.__cause__ = middle, refused(number)
    assert errno_of(error) == number


@pytest.mark.parametrize("number", FULL)
def test_what_an_error_says_is_not_searched_for_the_systems_words(number):
    assert errno_of(AudioEncodeError(f"{os.strerror(number)}.wav: too loud")) is None
    assert errno_of(ValueError(os.strerror(number))) is None


@pytest.mark.parametrize("number", [*FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.EMFILE, errno.ENFILE])
def test_another_programs_text_is_translated_by_the_systems_words_in_it(number):
    assert named_in(f"av_interleaved_write_frame(): {os.strerror(number)}").errno == number
    assert named_in("Error setting option b to value loud.") is None


def test_what_one_file_is_too_large_for_may_take_another():
    assert errno.EFBIG not in EVERY_WRITE_REFUSED
    assert {errno.ENOSPC, errno.EDQUOT, errno.EROFS} == EVERY_WRITE_REFUSED


def test_no_other_module_says_what_a_full_disk_is():
    found = set()
    for folder in ("sepcore", "tasks", "flows"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
                if "make room" in text or "free some space" in text.lower() or "No space left" in text:
                    found.add(file.name)
    assert found == {"os_errors.py"}
