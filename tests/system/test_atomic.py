import errno
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from sepcore.errors import ConfigError
from sepcore.system.atomic import (
    atomic_folder,
    atomic_path,
    check_writable,
    remove_leftovers,
    stale,
    temporary_folder,
    write_bytes,
    write_text,
)
from tests.raised import raises
from tests.repository import ROOT


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_and_raise(path, error):
    path.touch()
    raise error


def dead_process():
    """The id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_file_gets_its_name_when_the_block_ends(tmp_path):
    path = tmp_path / "made" / "on the way" / "song.flac"
    with atomic_path(path) as temporary:
        # Beside it: a rename across file systems is no rename. The suffix stays, since ffmpeg chooses by it.
        assert (temporary.parent, temporary.suffix) == (path.parent, ".flac")
        assert not temporary.exists()
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert names(path.parent) == ["song.flac"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stands_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        write_and_raise(temporary, error)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def own_folder(path):
    """A folder of which this project wrote the files that are called old… or new…."""
    return atomic_folder(path, lambda folder: {name for name in names(folder) if name.startswith(("old", "new"))})


@pytest.mark.parametrize("atomic", [atomic_path, own_folder])
def test_after_an_error_the_folders_that_were_made_for_it_go_again(tmp_path, atomic):
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="stop"), atomic(tmp_path / "there" / "made" / "too" / "it"):
        raise ValueError("stop")
    assert names(tmp_path) == ["there"]
    assert names(tmp_path / "there") == []


def test_after_an_error_a_folder_stays_in_which_somebody_else_has_put_a_file(tmp_path):
    with pytest.raises(ValueError, match="stop"), atomic_path(tmp_path / "made" / "too" / "it"):
        write_and_raise(tmp_path / "made" / "other", ValueError("stop"))
    assert names(tmp_path / "made") == ["other"]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_text() == "old"


def test_the_longest_possible_name_can_be_written(tmp_path):
    path = tmp_path / ("ä" * 125 + ".json")  # 255 bytes: no room for anything in front of it
    write_text(path, "{}")
    assert path.read_text() == "{}"


def test_text_is_utf8_and_bytes_are_what_they_are(tmp_path):
    write_text(tmp_path / "text", "Motörhead\n")
    assert (tmp_path / "text").read_bytes() == "Motörhead\n".encode()
    write_bytes(tmp_path / "bytes", b"\xff\r\n")
    assert (tmp_path / "bytes").read_bytes() == b"\xff\r\n"


def test_a_folder_appears_whole_and_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with own_folder(path) as temporary:
        (temporary / "new").touch()
        assert names(path) == ["old"]
    assert names(path) == ["new"]
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_folder_stands_and_nothing_else(tmp_path, error):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(error), own_folder(path) as temporary:
        write_and_raise(temporary / "half", error)
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize("late", [False, True])
def test_what_somebody_else_put_into_a_folder_keeps_its_place_in_the_new_one(tmp_path, late):
    path = tmp_path / "model"
    (path / "empty").mkdir(parents=True)
    (path / "old").touch()

    def put():
        (path / "mine").mkdir()
        (path / "mine" / "song.wav").write_text("song")
        (path / ".notes").write_text("notes")
        (path / "link").symlink_to("nowhere")

    if not late:
        put()
    with own_folder(path) as temporary:
        (temporary / "new").touch()
        if late:
            put()
    assert names(path) == [".notes", "empty", "link", "mine", "new"]
    assert (path / "mine" / "song.wav").read_text() == "song"
    assert names(tmp_path) == ["model"]


ANY_NAMES = ["x" * 255, "Mr. " + "x" * 251, "." + "x" * 254, "x." + "\U0001d11e" * 63, "x. " + "\udcff" * 252]


@pytest.mark.parametrize("name", ANY_NAMES, ids=range(len(ANY_NAMES)))
def test_a_file_and_a_folder_of_any_name_are_replaced_also_where_the_old_folder_is_kept(tmp_path, name, caplog):
    assert len(os.fsencode(name)) > 250
    for _ in range(3):
        with atomic_folder(tmp_path / name, lambda _: ["song.wav"]) as folder:
            (folder / "song.wav").touch()
            (folder / "notes").touch()  # never ours
    assert len(names(tmp_path)) == 3
    assert names(tmp_path / name) == ["notes", "song.wav"]
    with atomic_path(tmp_path / name / name) as temporary:
        temporary.touch()
    assert (tmp_path / name / name).is_file()
    remove_leftovers(tmp_path)
    assert len(names(tmp_path)) == 3
    assert caplog.messages
    assert all(message.isprintable() for message in caplog.messages)


def test_where_a_place_is_taken_the_old_folder_is_kept_and_its_name_is_told(tmp_path, caplog):
    path = tmp_path / "model"
    path.mkdir()
    for text in ("first", "second"):
        (path / "model.index").write_text(text)
        with own_folder(path) as temporary:
            (temporary / "model.index").write_text("new")
        assert (path / "model.index").read_text() == "new"
    assert (tmp_path / "model.kept" / "model.index").read_text() == "first"
    assert (tmp_path / "model.kept-2" / "model.index").read_text() == "second"
    assert f"did not write is kept in {tmp_path / 'model.kept-2'}" in caplog.text
    assert names(tmp_path) == ["model", "model.kept", "model.kept-2"]


def test_a_link_in_the_place_of_a_folder_is_not_followed_and_stays(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "old").touch()
    (tmp_path / "model").symlink_to("elsewhere")
    with pytest.raises(OSError, match="Not a directory"), own_folder(tmp_path / "model") as temporary:
        (temporary / "new").touch()
    assert (tmp_path / "model").is_symlink()
    assert names(tmp_path) == ["elsewhere", "model"]
    assert names(tmp_path / "elsewhere") == ["old"]


def test_a_temporary_folder_goes_when_the_block_ends_and_the_folder_made_for_it_stays(tmp_path):
    path = tmp_path / "made" / "song"
    with temporary_folder(path) as folder:
        (folder / "part").touch()
        assert folder.parent == path.parent
    assert names(tmp_path) == ["made"]
    assert names(path.parent) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_neither_the_temporary_folder_nor_the_one_made_for_it_is_left(tmp_path, error):
    with pytest.raises(error), temporary_folder(tmp_path / "made" / "song") as folder:
        write_and_raise(folder / "half", error)
    assert names(tmp_path) == []


def test_a_killed_process_leaves_the_old_file_and_the_next_one_clears_up(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    script = f"""
import os, pathlib, signal
from sepcore.system.atomic import atomic_path
with atomic_path(pathlib.Path({str(path)!r})) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert len(names(tmp_path)) == 2
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["file"]


USERS = [
    ".tmp-123",
    ".tmp-123-notes.txt",
    ".tmp-backup",
    ".tmp-{}-abc.wav",
    ".tmp-{}.wav",
    ".tmp-{}-0123abcd-x",
    ".tmp-{}.0123abcd-0123abcd.tar.gz",
    ".tmp-{}.host-0123abcd",
    ".tmp-{}-0123ABCD",
    "x.tmp-{}-0123abcd",
    ".tmp-0-0123abcd",
    ".tmp-99999999999999999999-0123abcd",
]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_of_what_lies_there_only_what_dead_processes_of_this_project_left_is_removed(tmp_path, kind):
    with atomic_path(tmp_path / "x") as temporary:
        alive = temporary.name
        temporary.touch()
    gone = str(dead_process())
    leftover = alive.replace(str(os.getpid()), gone)
    kept = sorted([alive, *(name.format(gone) for name in USERS)])
    for name in [*kept, leftover, f"{leftover}.wav"]:
        (tmp_path / name / "part").mkdir(parents=True) if kind == "folder" else (tmp_path / name).touch()
    (tmp_path / "x").unlink()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == kept


def test_a_link_that_is_called_like_a_leftover_is_left_alone_and_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "song.wav").touch()
    link = tmp_path / f".tmp-{dead_process()}-0123abcd"
    link.symlink_to("mine")
    remove_leftovers(tmp_path)
    assert link.is_symlink()
    assert names(tmp_path / "mine") == ["song.wav"]


def test_leftovers_of_a_folder_that_is_not_there_are_none(tmp_path):
    remove_leftovers(tmp_path / "missing")


def test_what_another_machine_writes_into_a_shared_folder_is_left_alone_for_a_day(tmp_path):
    foreign = tmp_path / ".tmp-999999999.00000000-0123abcd.wav"
    foreign.touch()
    remove_leftovers(tmp_path)
    assert foreign.exists()
    yesterday = time.time() - 86_500
    os.utime(foreign, (yesterday, yesterday))
    remove_leftovers(tmp_path)
    assert not foreign.exists()


def test_a_folder_of_another_machine_is_as_new_as_the_newest_of_its_files(tmp_path):
    foreign = tmp_path / ".tmp-999999999.00000000-0123abcd"
    (foreign / "sub").mkdir(parents=True)
    (foreign / "sub" / "song.wav").touch()
    for old in (foreign, foreign / "sub"):
        os.utime(old, (1, 1))
    remove_leftovers(tmp_path)
    assert (foreign / "sub" / "song.wav").exists()


@pytest.mark.parametrize("years", [-50, 50])
def test_this_machines_clock_makes_no_file_stale_that_the_file_system_has_just_stamped(tmp_path, monkeypatch, years):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + years * 31_557_600)
    file = tmp_path / "file"
    file.touch()
    assert stale([file]) == []
    assert names(tmp_path) == ["file"]


def test_another_container_of_this_name_is_another_machine(tmp_path):
    code = "from sepcore.system.atomic import _HOST; print(_HOST)"
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", sys.executable, "-c", code]
    result = subprocess.run(inside, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"no namespaces here: {result.stderr.strip()}")
    foreign = tmp_path / f".tmp-999999999.{result.stdout.strip()}-0123abcd.wav"
    foreign.touch()
    remove_leftovers(tmp_path)
    assert foreign.exists()


def test_many_who_look_at_once_do_not_see_each_other_and_leave_nothing(tmp_path):
    everyone, refused = threading.Barrier(8), []

    def look():
        everyone.wait()
        for _ in range(100):
            try:
                check_writable(tmp_path / "out", "-o")
            except ConfigError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert list((tmp_path / "out").iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_one_line_with_the_option(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "out"
    with raises(ConfigError, os.strerror(errno.ENOTDIR), path=folder, hint="-o") as error:
        check_writable(folder, "-o")
    assert error.value.errno == errno.ENOTDIR
    assert "\n" not in str(error.value)
