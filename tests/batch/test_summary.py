from pathlib import Path

import pandas as pd
import pytest

from sepcore.batch.song import Outcome, Song
from sepcore.batch.summary import SCHEMA, earlier_rate, write_summary


def song(name):
    return Song(Path(name), Path("out"), (("vocals", Path(f"{Path(name).stem}/vocals.wav")),), name)


@pytest.fixture
def summary(tmp_path):
    outcomes = [
        Outcome(Path("a.mp3"), "done", audio_s=120, elapsed_s=2),
        Outcome(Path("b\udcff.mp3"), "skipped", audio_s=60, elapsed_s=4),
        Outcome(Path("c.mp3"), "failed", "c.mp3: is empty", elapsed_s=0),
    ]
    songs = [song(outcome.song.name) for outcome in outcomes]
    return write_summary(tmp_path, songs, {outcome.song: outcome for outcome in reversed(outcomes)})


def test_it_has_a_row_for_each_song_in_their_order(summary):
    table = pd.read_parquet(summary)
    assert list(table.status) == ["done", "skipped", "failed"]
    assert list(table.song) == [str(Path.cwd() / name) for name in ("a.mp3", "b\\udcff.mp3", "c.mp3")]
    assert list(table.reason) == ["", "", "c.mp3: is empty"]
    assert list(table.times_real_time.fillna(0)) == [60, 15, 0]
    assert list(table.stems_folder) == ["a", "b\\udcff", "c"]


def test_every_column_says_what_it_holds():
    assert all(field.metadata[b"description"] for field in SCHEMA)


def test_the_rate_of_earlier_runs_counts_skipped_songs_too_and_is_unknown_without_any(summary, tmp_path):
    assert earlier_rate(tmp_path) == 180 / 6
    assert earlier_rate(tmp_path / "nowhere") is None
    summary.write_bytes(b"not parquet")
    assert earlier_rate(tmp_path) is None


def test_a_file_of_the_users_own_is_left_alone(tmp_path, caplog):
    (tmp_path / "summary.parquet").write_text("my own")
    outcome = Outcome(Path("a.mp3"), "done", audio_s=1, elapsed_s=1)
    assert write_summary(tmp_path, [song("a.mp3")], {outcome.song: outcome}) is None
    assert (tmp_path / "summary.parquet").read_text() == "my own"
    assert "was not written by this program and is kept" in caplog.text
