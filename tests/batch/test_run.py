import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sepcore import Separator
from sepcore.batch.records import remove_other_records
from sepcore.batch.run import separate_song, skip_if_done, song_locked
from sepcore.batch.song import failed
from sepcore.errors import AudioEncodeError, CheckpointError, OutputNotWritable
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.separation.stem_files.song import changed_song
from sepcore.signal.audio_reader import probe_audio
from sepcore.system.os_errors import fix_for
from tests.batch.conftest import touch
from tests.models import TINY, write_model
from tests.raised import raises

OPTIONS = StemFileOptions()


def test_a_song_becomes_its_stems(separator, write_song, plan):
    (song,) = plan(write_song())
    outcome = separate_song(separator, song, OPTIONS)
    assert (outcome.song, outcome.status, outcome.reason) == (song.path, "done", "")
    assert outcome.audio_s == pytest.approx(1.5)
    assert {probe_audio(path).duration_s for path in song.stem_files.values()} == {1.5}


def test_progress_within_a_song_is_told_in_samples(separator, write_song, plan):
    (song,) = plan(write_song(seconds=30))
    told = []
    separate_song(separator, song, OPTIONS, on_samples=told.append)
    assert sum(told) == 30 * 8000
    assert len(told) > 3


@pytest.mark.parametrize(
    ("name", "content", "fact"),
    [("text.mp3", b"not music", "(ffprobe exit code 1)"), ("empty.wav", b"", "(0 bytes)")],
)
def test_a_bad_file_is_an_outcome_and_leaves_nothing(separator, plan, tmp_path, name, content, fact):
    (tmp_path / name).write_bytes(content)
    (song,) = plan(tmp_path / name)
    outcome = separate_song(separator, song, OPTIONS)
    assert (outcome.song, outcome.status, outcome.audio_s) == (tmp_path / name, "failed", 0)
    assert outcome.reason.startswith(f"{tmp_path / name}: ")
    assert fact in outcome.why
    assert name not in outcome.why
    assert not list((tmp_path / "out").rglob("*"))


def test_a_file_that_the_system_refuses_is_an_error_that_may_pass_and_becomes_an_outcome(separator, plan, tmp_path):
    touch(tmp_path, "gone.wav")
    (song,) = plan(tmp_path / "gone.wav")
    song.path.unlink()
    with pytest.raises(OSError, match="No such file") as error:
        separate_song(separator, song, OPTIONS)
    assert failed(song.path, error.value).reason == f"{song.path}: cannot be read: No such file or directory"


def test_a_stem_that_cannot_be_written_is_an_outcome_that_names_it(separator, write_song, plan, tmp_path):
    (song,) = plan(write_song())
    touch(tmp_path / "out", "a")  # a file where the stems' folder would be
    outcome = separate_song(separator, song, OPTIONS)
    assert outcome.status == "failed"
    assert outcome.reason.startswith(f"{song.path}: {tmp_path / 'out' / 'a' / 'vocals.wav'}: ")


def test_an_offset_behind_the_end_is_an_outcome(separator, write_song, plan, tmp_path):
    (song,) = plan(write_song())
    outcome = separate_song(separator, song, StemFileOptions(offset_s=60))
    assert (outcome.status, list((tmp_path / "out").rglob("*"))) == ("failed", [])
    assert "after the offset" in outcome.why


@pytest.mark.parametrize("clipping", [None, "rescale"])
def test_a_song_that_changes_while_it_is_read_leaves_the_old_stems_and_nothing_else(
    separator, write_song, plan, tmp_path, clipping
):
    options = StemFileOptions(clipping=clipping)
    (song,) = plan(write_song(), clipping=clipping)
    for old in (False, True):  # a first run, and one over the stems of another song
        if old:
            assert separate_song(separator, song, options).status == "done"
            write_song(seed=1)
        before = contents(tmp_path / "out")

        def goes_on(samples):
            with song.path.open("ab") as file:
                file.write(b"\0" * 400)

        outcome = separate_song(separator, song, options, on_samples=goes_on)
        assert (outcome.status, outcome.reason) == ("failed", str(changed_song(song.path)))
        after = contents(tmp_path / "out")
        assert after == {name: content for name, content in before.items() if name.endswith(".wav")}
        write_song()


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_process_at_a_time_has_a_song_and_the_next_sees_what_it_made(separator, write_song, plan, tmp_path):
    model = write_model(tmp_path / "model", seed=1, model=TINY)
    (song,) = plan(write_song(seconds=30))
    under_way, go_on, waits = threading.Event(), threading.Event(), threading.Event()

    def hold(samples):
        under_way.set()
        assert go_on.wait(60)

    def another(other, **how):
        return pool.submit(separate_song, other, song, OPTIONS, on_samples=lambda samples: waits.set(), **how)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(separate_song, separator, song, OPTIONS, on_samples=hold)
        assert under_way.wait(60)
        same = another(separator, unless_done=True)
        assert waits.wait(60)
        assert not first.done()
        assert not same.done()
        go_on.set()
        assert (first.result().status, same.result().status) == ("done", "skipped")
        assert another(Separator(model), unless_done=True).result().status == "done"
    assert skip_if_done(separator, song, OPTIONS) is None
    assert [path.suffix for path in (tmp_path / "out" / ".separated").iterdir()] == [".json"]


def test_who_waits_for_a_song_can_be_stopped(separator, write_song, plan):
    (song,) = plan(write_song())

    class Stop(Exception):
        pass

    def stop(samples):
        raise Stop

    with song_locked(song, lambda: None), pytest.raises(Stop):
        separate_song(separator, song, OPTIONS, on_samples=stop)
    assert not song.out.exists() or not list(song.out.rglob("*"))


def test_a_record_is_gone_where_another_format_takes_its_files(separator, write_song, plan, tmp_path):
    path = write_song()
    (song,) = plan(path)
    separate_song(separator, song, OPTIONS)
    only = StemFileOptions(stems=("vocals",))
    (other,) = plan(path, stems=("vocals",), filename_format="a/vocals.{codec}")
    remove_other_records([song])
    assert skip_if_done(separator, song, OPTIONS)
    remove_other_records([other])
    separate_song(Separator(write_model(tmp_path / "model", seed=1, model=TINY)), other, only)
    assert skip_if_done(separator, song, OPTIONS) is None


def test_an_output_folder_that_takes_no_records_ends_the_run(separator, write_song, plan, tmp_path):
    (song,) = plan(write_song())
    touch(tmp_path / "out", ".separated")  # a file where the records' folder would be
    with raises(OutputNotWritable, path=tmp_path / "out", hint="-o") as error:
        separate_song(separator, song, OPTIONS)
    assert error.value.errno in (errno.EEXIST, errno.ENOTDIR)
    assert os.strerror(error.value.errno) in error.value.problem


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
@pytest.mark.parametrize("as_cause", [False, True])
def test_a_disk_that_takes_no_file_ends_the_run(separator, write_song, plan, tmp_path, monkeypatch, number, as_cause):
    (song,) = plan(write_song())
    of_the_system = OSError(number, os.strerror(number))
    refused = AudioEncodeError("too loud", path=song.out / "a" / "vocals.wav", errno=None if as_cause else number)
    refused.__cause__ = of_the_system if as_cause else None
    monkeypatch.setattr("sepcore.batch.run.separate_file", raiser(refused))
    with raises(OutputNotWritable, of_the_system.strerror, "a.wav", path=song.out, hint="-o") as error:
        separate_song(separator, song, OPTIONS)
    assert error.value.errno == number
    assert fix_for(of_the_system) in error.value.hint


@pytest.mark.parametrize(("name", "number"), [("a.wav", errno.EFBIG), (f"{os.strerror(errno.ENOSPC)}.wav", None)])
def test_a_stem_that_is_its_songs_own_fault_ends_no_run(separator, write_song, plan, monkeypatch, name, number):
    (song,) = plan(write_song(name))
    refused = AudioEncodeError("cannot be written", path=song.stem_files["vocals"], errno=number)
    monkeypatch.setattr("sepcore.batch.run.separate_file", raiser(refused))
    outcome = separate_song(separator, song, OPTIONS)
    assert (outcome.status, outcome.reason) == ("failed", f"{song.path}: {refused}")


def raiser(error):
    def fail(*args, **options):
        raise error

    return fail


def test_weights_that_do_not_fit_end_the_run(tmp_path, write_song, plan):
    other = write_model(tmp_path / "other", model=TINY)
    model = write_model(tmp_path / "model", model=TINY, instrument_list=["vocals", "drums", "bass"])
    for file in (other / "model").iterdir():
        file.replace(model / "model" / file.name)
    (song,) = plan(write_song())
    with pytest.raises(CheckpointError):
        separate_song(Separator(model, load=False), song, OPTIONS)
