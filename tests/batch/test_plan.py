import os
from pathlib import Path

from sepcore.batch.plan import plan_batch, prepare_output
from sepcore.errors import ConfigError
from sepcore.separation.stem_files.names import DEFAULT_FORMAT
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.system.atomic import atomic_path
from tests.batch.conftest import STEMS, touch
from tests.raised import raises


def planned(songs, out, instruments=STEMS, filename_format=DEFAULT_FORMAT, **options):
    return plan_batch(songs, out, instruments, StemFileOptions(**options), filename_format=filename_format)


def test_a_plan_keeps_the_tree_below_the_output_folder_and_writes_nothing(tmp_path):
    out = tmp_path / "deep" / "out"
    (song,) = planned({Path("in/First/a.mp3"): Path("First")}, out, codec="ogg")
    assert song.path == Path("in/First/a.mp3")
    assert song.stem_files == {stem: out / "First" / "a" / f"{stem}.ogg" for stem in STEMS}
    assert song.folders == (out / "First" / "a",)
    assert not (tmp_path / "deep").exists()


def test_only_the_chosen_stems_are_planned(tmp_path):
    (song,) = planned({Path("a.mp3"): Path()}, tmp_path, stems=("accompaniment",))
    assert list(song.stem_files) == ["accompaniment"]


def test_the_slot_of_a_song_is_the_same_whatever_the_models_stems(tmp_path):
    slots = {
        planned({Path("a.mp3"): Path()}, tmp_path, instruments)[0].slot for instruments in (STEMS, ("vocals", "drums"))
    }
    others = {
        planned({Path("b.mp3"): Path()}, tmp_path)[0].slot,
        planned({Path("a.mp3"): Path("album")}, tmp_path)[0].slot,
        planned({Path("a.mp3"): Path()}, tmp_path, codec="flac")[0].slot,
    }
    assert len(slots) == 1
    assert len(others - slots) == 3


def test_two_songs_with_one_output_name_are_refused_before_any_work(tmp_path):
    out = tmp_path / "out"
    with raises(ConfigError, "x/a.mp3 and y/A.mp3", out / "a" / "vocals.wav", hint="-f"):
        planned({Path("x/a.mp3"): Path(), Path("y/A.mp3"): Path()}, out)
    assert not out.exists()


def test_an_input_is_never_overwritten(tmp_path, plan):
    touch(tmp_path, "a/vocals.wav")
    with raises(ConfigError, "input", path=tmp_path / "a" / "vocals.wav", hint="-o"):
        plan(tmp_path, out=tmp_path, filename_format="{instrument}.{codec}")


def test_a_format_that_cannot_be_used_is_refused(tmp_path):
    with raises(ConfigError, "{artist}/{instrument}", "'artist'", hint="{filename}"):
        planned({Path("a.mp3"): Path()}, tmp_path, filename_format="{artist}/{instrument}")


def test_a_song_for_another_process_has_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (song,) = planned({Path("a.mp3"): Path()}, Path("out"))
    assert song.absolute().path == tmp_path / "a.mp3"
    assert song.absolute().stem_files == {stem: tmp_path / "out" / "a" / f"{stem}.wav" for stem in STEMS}


def test_an_output_folder_that_cannot_be_written_is_refused_with_the_option_that_names_it(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with raises(ConfigError, path=out, hint="-o") as error:
            prepare_output(planned({Path("a.mp3"): Path()}, out), out)
        assert os.strerror(error.value.errno) in error.value.problem


def test_what_a_killed_run_left_half_written_is_removed_and_nothing_else(tmp_path):
    songs = planned({Path("a.mp3"): Path("album")}, tmp_path)
    left = [tmp_path / "album" / "a" / "vocals.wav", tmp_path / ".separated" / "x.json", tmp_path / "summary.parquet"]
    for path in left:
        child = os.fork()
        if not child:  # dies while it writes
            with atomic_path(path) as temporary:
                temporary.touch()
                os._exit(0)
        os.waitpid(child, 0)
    touch(tmp_path / "album" / "a", "vocals.wav", "mine.txt")
    assert len(list(tmp_path.rglob(".tmp-*"))) == 3
    prepare_output(songs, tmp_path)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"vocals.wav", "mine.txt"}
