import re
from pathlib import Path

import numpy as np
import pytest

from sepcore import Separator
from sepcore.batch.find import AUDIO_SUFFIXES, find_songs
from sepcore.batch.plan import Song, plan_batch
from sepcore.batch.run import separate_song
from sepcore.errors import ConfigError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.signal.audio_reader import probe_audio
from sepcore.signal.audio_writer import write_audio
from sepcore.stem_files.names import DEFAULT_FORMAT
from sepcore.stem_files.options import StemFileOptions
from tests.models import randomise, small_config

STEMS = ("vocals", "accompaniment")


@pytest.fixture(scope="module")
def separator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    network = build_network(small_config())
    randomise(network)
    write_checkpoint(network, folder / "model", step=1)
    (folder / "config.json").write_text(small_config().to_json())
    return Separator(folder)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def plan(songs, out, **options):
    return plan_batch(songs, out, STEMS, **{"filename_format": DEFAULT_FORMAT, "codec": "wav"} | options)


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


def test_a_file_that_is_named_is_taken_whatever_its_suffix_and_only_once(tmp_path):
    touch(tmp_path, "recording.data", "song.wav")
    named = [tmp_path / "recording.data", tmp_path / "song.wav", tmp_path]
    assert find_songs(named) == {tmp_path / "recording.data": Path(), tmp_path / "song.wav": Path()}


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
    with pytest.raises(ConfigError, match=r"nothing\.mp3: no such file or folder; check the name"):
        find_songs([tmp_path / "nothing.mp3"])
    with pytest.raises(ConfigError, match="text: no audio files in this folder; give one that has some"):
        find_songs([tmp_path / "text"])


def test_all_suffixes_are_lower_case_and_have_their_dot():
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in AUDIO_SUFFIXES)
    assert {".wav", ".mp3", ".flac", ".ogg", ".m4a", ".wma", ".mp4"} <= AUDIO_SUFFIXES


def test_a_plan_keeps_the_tree_below_the_output_folder_and_makes_that_folder(tmp_path):
    out = tmp_path / "deep" / "out"
    (song,) = plan({Path("in/First/a.mp3"): Path("First")}, out, codec="ogg")
    assert song == Song(Path("in/First/a.mp3"), tuple((stem, out / "First" / "a" / f"{stem}.ogg") for stem in STEMS))
    assert list(out.rglob("*")) == []


def test_two_songs_with_one_output_name_are_refused_before_any_work(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match=r"x/a\.mp3 and y/a\.mp3 would both write .*vocals\.wav"):
        plan({Path("x/a.mp3"): Path(), Path("y/a.mp3"): Path()}, out)
    assert not out.exists()


def test_an_input_is_never_overwritten(tmp_path):
    touch(tmp_path, "a/vocals.wav")
    with pytest.raises(ConfigError, match="is an input and would be overwritten"):
        plan(find_songs([tmp_path]), tmp_path, filename_format="{instrument}.{codec}")


def test_a_format_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be used"):
        plan({Path("a.mp3"): Path()}, tmp_path, filename_format="{artist}/{instrument}")


def test_an_output_folder_that_cannot_be_written_is_refused_with_the_option_that_names_it(tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot be written to \(.+\); choose another folder with -o"):
            plan({Path("a.mp3"): Path()}, out)


def test_a_song_becomes_its_stems(separator, tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((12_000, 2), np.float32), sample_rate=8000)
    (song,) = plan(find_songs([tmp_path / "a.wav"]), tmp_path / "out")
    outcome = separate_song(separator, song, StemFileOptions())
    assert (outcome.song, outcome.status, outcome.reason) == (tmp_path / "a.wav", "done", "")
    assert outcome.audio_s == pytest.approx(1.5)
    assert {probe_audio(path).duration_s for _, path in song.stems} == {1.5}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.mp3", b"not music", "is not audio or video"),
        ("empty.wav", b"", r"the file is empty \(0 bytes\)"),
    ],
)
def test_a_bad_file_is_an_outcome_and_leaves_nothing(separator, tmp_path, name, content, reason):
    (tmp_path / name).write_bytes(content)
    (song,) = plan(find_songs([tmp_path / name]), tmp_path / "out")
    outcome = separate_song(separator, song, StemFileOptions())
    assert (outcome.song, outcome.status, outcome.audio_s) == (tmp_path / name, "failed", 0)
    assert re.search(rf"{name}: {reason}", outcome.reason)
    assert not list((tmp_path / "out").rglob("*"))


def test_a_stem_that_cannot_be_written_is_an_outcome_that_names_it(separator, tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((4000, 2), np.float32), sample_rate=8000)
    (song,) = plan(find_songs([tmp_path / "a.wav"]), tmp_path / "out")
    touch(tmp_path / "out", "a")  # a file where the stems' folder would be
    outcome = separate_song(separator, song, StemFileOptions())
    assert outcome.status == "failed"
    assert "a/vocals.wav: cannot be written" in outcome.reason


def test_an_offset_behind_the_end_is_an_outcome(separator, tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros((4000, 2), np.float32), sample_rate=8000)
    (song,) = plan(find_songs([tmp_path / "a.wav"]), tmp_path / "out")
    outcome = separate_song(separator, song, StemFileOptions(offset_s=60))
    assert (outcome.status, list((tmp_path / "out").rglob("*"))) == ("failed", [])
    assert "holds no audio after the offset" in outcome.reason
