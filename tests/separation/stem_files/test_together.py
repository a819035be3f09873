import errno
import os

import pytest

from sepcore.errors import AudioEncodeError
from sepcore.separation.stem_files.together import written_together
from tests.raised import raises


def names(folder):
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_get_their_names_when_all_are_complete(tmp_path):
    paths = [tmp_path / "a" / "vocals.wav", tmp_path / "b" / "drums.wav"]
    with written_together(paths) as drafts:
        for path, draft in drafts.items():
            draft.write_text(path.stem)
            assert not path.exists()
    assert names(tmp_path) == {"vocals.wav": "vocals", "drums.wav": "drums"}


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
    assert names(tmp_path) == {"vocals.wav": "the old one"}
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
    assert names(tmp_path) == {}


def test_a_file_that_cannot_be_renamed_is_one_line(tmp_path):
    def write_nothing():
        with written_together([tmp_path / "vocals.wav"]):
            pass

    with raises(AudioEncodeError, os.strerror(errno.ENOENT), path=tmp_path / "vocals.wav") as error:
        write_nothing()
    assert error.value.errno == errno.ENOENT
