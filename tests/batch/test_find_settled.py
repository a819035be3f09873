import os
import time
from pathlib import Path

from sepcore.batch.find import settled_songs


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
