from pathlib import Path

from sepcore.batch.find import find_songs
from sepcore.batch.run import separate_song
from sepcore.errors import ConfigError
from sepcore.separation.stem_files.options import StemFileOptions
from sepcore.signal.ffmpeg import AUDIO_SUFFIXES
from tests.batch.conftest import touch
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
