"""The folder command without a Prefect API, as the process that a user starts."""

import json
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from sepcore import Separator
from tests.models import write_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A small model."""
    folder = write_model(tmp_path_factory.mktemp("ready"))
    return folder


@pytest.fixture
def songs(tmp_path):
    """A folder of twenty songs."""
    for number in range(20):
        write_song(tmp_path / "songs" / f"album {number % 3}" / f"song {number:02}.wav", seed=number)
    return tmp_path / "songs"


def write_song(path, *, seconds=1.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name("plain.wav")  # soundfile writes no name that is not UTF-8
    soundfile.write(plain, np.random.default_rng(seed).uniform(-0.3, 0.3, (round(8000 * seconds), 2)), 8000)
    plain.rename(path)


def files_below(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def plain(table):
    return " ".join(re.sub(r"[│┃]", " ", table).split())


def test_what_is_done_is_skipped_fast_without_network_and_tensorflow(run, ready, songs, tmp_path):
    first = run("separate_batch", songs, "-o", "out", "-p", ready)
    assert (first.returncode, first.stderr.count("Traceback")) == (0, 0), first.stderr
    assert "20 songs in out: 20 done, 0 skipped, 0 failed" in first.stdout
    assert re.search(r"20 s of audio separated in [\d.]+ s: [\d.]+ times real time with start-up", first.stdout)
    before = files_below(tmp_path / "out")
    assert len(before) == 20 * 3 + 1
    # Verbose: otherwise a thread filters stderr, and cannot while the interpreter writes such lines.
    again = run("separate_batch", songs, "-o", "out", "-p", ready, "--verbose", PYTHONPROFILEIMPORTTIME="1")
    assert again.stdout == "20 songs in out: 0 done, 20 skipped, 0 failed\n"
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in again.stderr.splitlines()}
    assert "sepcore" in imported
    assert not imported & {"tensorflow", "keras", "openvino", "prefect", "mlflow", "pandas"}
    after = files_below(tmp_path / "out")
    summary = {path for path in before if path.name == "summary.parquet"}
    assert {path for path in before if before[path] != after[path]} == summary

    before = files_below(tmp_path / "out")
    overwritten = run("separate_batch", songs, "-o", "out", "-p", ready, "--overwrite", "--workers", "3")
    assert "20 songs in out: 20 done, 0 skipped, 0 failed" in overwritten.stdout, overwritten.stderr
    after = files_below(tmp_path / "out")
    assert before.keys() == after.keys()
    assert not [path for path in before if before[path] == after[path]]


def test_an_output_folder_that_cannot_be_looked_for_is_one_line(run, ready, tmp_path):
    write_song(tmp_path / "a.wav")
    refused = run("separate_batch", "a.wav", "-o", "a" * 300, "-p", ready)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert "File name too long" in refused.stderr


def test_a_summary_tells_of_the_latest_run_with_what_was_skipped(run, ready, tmp_path):
    write_song(tmp_path / "songs" / "a.wav", seconds=2)
    run("separate_batch", "songs", "-o", "out", "-p", ready)
    write_song(tmp_path / "songs" / "b [live] :smile: [/red].wav", seed=1)
    (tmp_path / "songs" / "c[bold].mp3").write_text("not music")
    result = run("separate_batch", "songs", "-o", "out", "-p", ready, LANG="C.UTF-8")
    assert result.returncode == 1
    assert "3 songs in out: 1 done, 1 skipped, 1 failed" in result.stdout
    assert re.search(r"songs/c\[bold\]\.mp3 (?!\S*c\[bold\]).*ffmpeg", plain(result.stdout))
    table = pd.read_parquet(tmp_path / "out" / "summary.parquet").set_index("status")
    assert list(table.index) == ["skipped", "done", "failed"]
    assert table.song["done"] == str(tmp_path / "songs" / "b [live] :smile: [/red].wav")
    assert (table.audio_s["skipped"], table.audio_s["done"]) == (2, 1)
    assert "ffmpeg" in table.reason["failed"]
    assert table.stems_folder["skipped"] == "a"


def test_a_dry_run_writes_nothing_and_tells_what_would_be(run, ready, tmp_path):
    write_song(tmp_path / "songs" / "a.wav", seconds=90)
    (tmp_path / "songs" / "text.mp3").write_text("not music")
    result = run("separate_batch", "songs", "-o", "out", "-p", ready, "--dry-run")
    assert result.returncode == 1
    shown = plain(result.stdout)
    assert "1 would be separated" in shown
    assert "songs/a.wav 1:30 out/a" in shown
    assert re.search(r"songs/text\.mp3 (?!\S*text\.mp3).*ffmpeg", shown)
    assert "2 songs, nothing written to out: 1 to separate, 0 done already, 1 cannot be read" in shown
    assert "90 s of audio to separate" in shown
    assert "(an estimate for this machine)" in shown
    assert not (tmp_path / "out").exists()

    (tmp_path / "songs" / "text.mp3").unlink()
    assert run("separate_batch", "songs", "-o", "out", "-p", ready).returncode == 0
    write_song(tmp_path / "songs" / "b.wav")
    before = files_below(tmp_path / "out")
    result = run("separate_batch", "songs", "-o", "out", "-p", ready, "--dry-run", "--page")
    assert result.returncode == 0
    assert "1 to separate, 1 done already, 0 cannot be read" in result.stdout
    assert "(as in the last run here)" in result.stdout
    assert files_below(tmp_path / "out") == before


@pytest.mark.parametrize("workers", ["1", "3"])
def test_ctrl_c_in_the_middle_of_songs_ends_at_once(ready, tmp_path, environment, workers):
    for number in range(4):
        soundfile.write(tmp_path / f"long{number}.flac", np.zeros((8000 * 7200, 2), np.int16), 8000)
    command = [sys.executable, "-m", "flows.separate_batch", *(f"long{number}.flac" for number in range(4))]
    command += ["-o", "out", "-p", str(ready), "--workers", workers]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE)
    while len(list(tmp_path.rglob(".tmp-*"))) < 2 * int(workers) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)  # a song of two hours takes longer
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1].lower().startswith("interrupted")
    assert "Traceback" not in stderr
    assert not list((tmp_path / "out").rglob("*.wav"))
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_record_is_small_and_readable(run, ready, tmp_path):
    write_song(tmp_path / "a.wav")
    run("separate_batch", "a.wav", "-o", "out", "-p", ready, "-c", "flac", "--bits", "24")
    (record,) = (tmp_path / "out" / ".separated").iterdir()
    content = json.loads(record.read_text())
    assert content["options"] == {"codec": "flac", "bits": 24}
    assert content["stems"] == {
        f"a/{stem}.flac": (tmp_path / "out" / "a" / f"{stem}.flac").stat().st_size
        for stem in ("vocals", "accompaniment")
    }


@pytest.mark.parametrize("seeds", [(0, 0), (0, 1)])
def test_two_commands_at_once_separate_each_song_once_and_a_record_never_names_another_models_stems(
    seeds, tmp_path, environment
):
    for number in range(6):
        write_song(tmp_path / "songs" / f"{number}.wav", seed=number, seconds=20)
    started = []
    for place, seed in enumerate(seeds):
        write_model(tmp_path / f"model{place}", seed=seed)
        command = [sys.executable, "-m", "flows.separate_batch", "songs", "-o", "out", "-p", f"model{place}"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes))
    done = 0
    for process in started:
        stdout, stderr = process.communicate(timeout=300)
        assert (process.returncode, "Traceback" in stderr) == (0, False), stderr
        done += int(re.search(r"(\d+) done, \d+ skipped, 0 failed", stdout)[1])
    assert done == 6 * len(set(seeds))
    models = {
        separator.fingerprint(): separator for separator in map(Separator, (tmp_path / "model0", tmp_path / "model1"))
    }
    records = [json.loads(path.read_text()) for path in (tmp_path / "out" / ".separated").iterdir()]
    assert len(records) == 6
    for record in records:
        stem = next(iter(record["stems"]))
        song = tmp_path / "songs" / f"{stem.partition('/')[0]}.wav"
        models[record["separator"]].separate_to_file(song, tmp_path / "expected")
        assert (tmp_path / "out" / stem).read_bytes() == (tmp_path / "expected" / stem).read_bytes()


ODD = ["line\nbreak.wav", "Latin-1 \udce9.wav", "\x1b[31mred.wav", "３.wav", "abc.wav"]


def test_names_that_are_no_line_of_text_are_shown_in_one_and_the_right_files_come_out(run, ready, tmp_path):
    for seed, name in enumerate(ODD):
        write_song(tmp_path / "songs" / name, seed=seed)
    (tmp_path / "songs" / "bad\n\udce9.mp3").write_text("not music")
    result = run("separate_batch", "songs", "-o", "out", "-p", ready, "--page", COLUMNS="200", PYTHONIOENCODING="ascii")
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "6 songs in out: 5 done, 0 skipped, 1 failed" in result.stdout
    assert "bad\\n\\udce9.mp3" in result.stdout
    assert "\x1b[31m" not in result.stdout
    names = {name.removesuffix(".wav") for name in ODD}
    assert {path.parent.name for path in (tmp_path / "out").rglob("vocals.wav")} == names
    assert {path.parent.name for path in (tmp_path / "out").rglob("index.html")} == names | {"out"}
    table = pd.read_parquet(tmp_path / "out" / "summary.parquet")
    assert not [text for text in (*table.song, *table.reason) if len(text.splitlines()) > 1]
    again = run("separate_batch", "songs", "-o", "out", "-p", ready, "--page")
    assert "6 songs in out: 0 done, 5 skipped, 1 failed" in again.stdout


def test_an_absolute_format_below_a_relative_output_folder_gives_files_there(run, ready, tmp_path):
    write_song(tmp_path / "a.wav")
    absolute = f"{tmp_path}/out/{{filename}}_{{instrument}}.{{codec}}"
    for done in ("1 done, 0 skipped", "0 done, 1 skipped"):
        result = run("separate_batch", "a.wav", "-o", "out", "-p", ready, "-f", absolute)
        assert done in result.stdout, result.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.wav")) == ["a_accompaniment.wav", "a_vocals.wav"]
