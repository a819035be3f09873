import os
import time
from pathlib import Path

from sepcore.batch.plan import find_songs, plan_batch, prepare_output, settled_songs
from sepcore.batch.run import separate_song
from sepcore.errors import ConfigError
from sepcore.separation.stem_files.names import DEFAULT_FORMAT
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES
from sepcore.system.atomic import atomic_path
from tests.batch.conftest import STEMS, touch
from tests.raised import raises


def test_a_folder_gives_its_audio_at_any_depth_with_the_tree_kept(tmp_path):
    touch(tmp_path, "one.mp3", "albums/First/two.FLAC", "albums/three.mkv")
    assert find_songs([tmp_path]) == {
        tmp_path / "albums/First/two.FLAC": Path("albums/First"),
        tmp_path / "albums/three.mkv": Path("albums"),
        tmp_path / "one.mp3": Path(),
    }


def test_hidden_files_and_folders_other_suffixes_and_folders_named_like_songs_are_left_out(tmp_path):
    touch(tmp_path, "song.wav", "._song.wav", ".trash/old.wav", "cover.jpg", "notes.txt", "README", "live.wav/x.txt")
    assert list(find_songs([tmp_path])) == [tmp_path / "song.wav"]


def test_a_folder_below_a_hidden_one_can_be_named(tmp_path):
    touch(tmp_path, ".cache/songs/a.wav")
    assert list(find_songs([tmp_path / ".cache" / "songs"])) == [tmp_path / ".cache/songs/a.wav"]


def test_a_file_that_is_named_is_taken_whatever_its_suffix_and_only_once(tmp_path, monkeypatch):
    touch(tmp_path, "recording.data", "song.wav")
    named = [tmp_path / "recording.data", tmp_path / "song.wav", tmp_path]
    assert find_songs(named) == {tmp_path / "recording.data": Path(), tmp_path / "song.wav": Path()}
    monkeypatch.chdir(tmp_path)
    assert find_songs([Path("song.wav"), *named]) == {Path("song.wav"): Path(), tmp_path / "recording.data": Path()}


def test_the_stems_of_an_earlier_run_are_no_songs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(tmp_path, "songs/a.wav", "songs/out/a/vocals.wav", "songs/outtakes/b.wav")
    assert list(find_songs([Path("songs")], out=tmp_path / "songs/out")) == [
        Path("songs/a.wav"),
        Path("songs/outtakes/b.wav"),
    ]
    # Beside its stems a song stays a song, and what is named itself is meant.
    assert Path("songs/a.wav") in find_songs([Path("songs")], out=Path("songs"))
    assert list(find_songs([Path("songs/out")], out=Path("songs/out"))) == [Path("songs/out/a/vocals.wav")]


def test_a_missing_path_and_a_folder_without_audio_are_refused(tmp_path):
    touch(tmp_path, "text/notes.txt")
    with raises(ConfigError, "no such file", path=tmp_path / "nothing.mp3"):
        find_songs([tmp_path / "nothing.mp3"])
    with raises(ConfigError, "no audio", path=tmp_path / "text"):
        find_songs([tmp_path / "text"])


def test_all_suffixes_are_lower_case_and_have_their_dot():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in AUDIO_SUFFIXES)
    assert {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".wma", ".mp4"} <= AUDIO_SUFFIXES


def test_stems_of_an_earlier_run_beside_the_songs_are_no_songs(separator, write_song, plan, tmp_path):
    song = write_song("album/a.wav")
    folder = tmp_path / "songs"
    for inside in (folder, folder / "album"):
        (planned,) = plan(inside, out=folder)
        separate_song(separator, planned, StemFileOptions())
        assert list(find_songs([inside], out=folder)) == [song]


def test_a_watched_folder_may_have_no_song_yet(tmp_path):
    assert find_songs([tmp_path], may_be_empty=True) == {}


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


def test_a_song_that_is_still_being_written_waits_for_the_next_round(tmp_path):
    song = tmp_path / "a.wav"
    song.write_bytes(b"beginning")
    os.utime(song, (0, 0))  # a copy that keeps the original's time: only its status is of now
    songs = {song: Path()}
    assert settled_songs(songs, seconds=0.3) == {}
    time.sleep(0.35)
    assert settled_songs(songs, seconds=0.3) == songs
    song.write_bytes(b"beginning and end")
    assert settled_songs(songs, seconds=0.3) == {}


def test_a_date_in_the_future_does_not_keep_a_song_for_ever(tmp_path):
    song = tmp_path / "a.wav"
    song.touch()
    os.utime(song, (time.time() + 86_400,) * 2)
    time.sleep(0.05)
    assert settled_songs({song: Path()}, seconds=0.04) == {song: Path()}


def test_a_song_that_was_moved_away_is_left_out(tmp_path):
    assert settled_songs({tmp_path / "gone.wav": Path()}, seconds=0) == {}
