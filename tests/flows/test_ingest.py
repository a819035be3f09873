"""Ingest of a set with songs that cannot be used, as the process that a user starts."""

import csv

import numpy as np
import pytest
import soundfile

from tests.flows.test_commands import lacking

pytestmark = pytest.mark.slow


def write_song(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        soundfile.write(folder / f"{name}.wav", np.random.default_rng(0).uniform(-0.3, 0.3, (4800, 1)), 48000)


def listed(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def test_songs_that_cannot_be_used_are_left_out_and_named_until_they_are_mended(run, tmp_path):
    for name in "ABCDEF":
        write_song(tmp_path / "set" / f"{name} - Song", "vocals", "drums", "bass")
    write_song(tmp_path / "set" / "G - Song", "drums", "bass")
    broken = tmp_path / "set" / "B - Song" / "drums.wav"
    broken.write_text("not music")
    command = ["ingest", "--stems-root", "set", "--out", "out", "-p", "2stems", "--split", "artist"]

    result = run(*command, "--validation-fraction", "0.2", "--test-fraction", "0")
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "no artist is in more than one split",
        "mixtures made from the stems: 6 (A - Song, B - Song, C - Song, …)",
    ]
    (without,) = (line for line in lines if line.startswith("left out: G - Song: "))
    assert not lacking(without, "vocals bass drums"), without
    (undecodable,) = (line for line in lines if line.startswith("left out: B - Song: "))
    assert not lacking(undecodable, ("B - Song/drums.wav", "ffmpeg")), undecodable
    assert lines[-1] == "songs left out: 2; out/left_out.csv lists them and says what to do"
    assert [row[0] for row in listed(tmp_path / "out" / "left_out.csv")] == ["G - Song", "B - Song"]
    songs = [row for split in ("train", "validation", "test") for row in listed(tmp_path / "out" / f"{split}.csv")]
    assert sorted(row[0].split("/")[1] for row in songs) == [f"{name} - Song" for name in "ACDEF"]
    assert all((tmp_path / "out" / path).is_file() for row in songs for path in row[:-1])

    write_song(broken.parent, "drums")
    write_song(tmp_path / "set" / "G - Song", "vocals")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "audio").rglob("*.wav")}
    result = run(*command, "--validation-fraction", "0.2", "--test-fraction", "0")
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "out" / "left_out.csv").exists()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(listed(tmp_path / "out" / "train.csv")) == 6
    assert len(listed(tmp_path / "out" / "validation.csv")) == 1
