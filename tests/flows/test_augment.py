"""Training songs at other pitches and tempos, as the process that a user starts, killed and on a cluster too."""

import csv
import shutil
import signal
import subprocess
import sys
import time

import distributed
import numpy as np
import pytest
import soundfile

from tests.dataset.augment.conftest import write_plain_ffmpeg

pytestmark = pytest.mark.slow

VARIED = ("--out", "varied", "--pitch", "-2", "--tempo", "1.1")


@pytest.fixture
def songs(small_dataset, tmp_path):
    """A copy of the small dataset in the test's folder: five training songs of 4 s."""
    shutil.copytree(small_dataset, tmp_path, dirs_exist_ok=True)
    return tmp_path


def listed(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    files = (path for path in folder.rglob("[!.]*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if "/.tmp" not in str(path)}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.flac")}


def test_the_variants_are_listed_beside_the_recorded_songs_and_can_be_cached(songs, run):
    result = run("augment", "-p", "config.json", *VARIED)
    assert result.returncode == 0, result.stderr
    method, told = result.stdout.splitlines()
    assert method.partition(":")[0] in ("method rubberband", "this ffmpeg has no filter rubberband")
    assert told.startswith("varied/train.csv: 5 recorded songs and 10 variants. ")
    rows = listed(songs / "varied" / "train.csv")
    names = ["song0", "song0 (pitch -2)", "song0 (tempo 1.1)"]
    assert [row["mix_path"].split("/")[-2] for row in rows[:3]] == names
    for row in rows:
        mixture, *stems = (songs / "varied" / path for key, path in row.items() if key != "duration")
        assert float(row["duration"]) == pytest.approx(soundfile.info(mixture).duration, abs=1e-6)
        if mixture.suffix == ".flac":
            total = sum(soundfile.read(stem)[0] for stem in stems)
            np.testing.assert_array_equal(soundfile.read(mixture)[0], total)
    assert float(rows[2]["duration"]) == pytest.approx(4 / 1.1, abs=1e-3)

    cached = run("cache", "-p", "config.json", "--set", "train_csv=varied/train.csv")
    assert cached.returncode == 0, cached.stderr
    assert "training: 15 songs in" in cached.stdout

    before = times(songs / "varied")
    again = run("augment", "-p", "config.json", *VARIED, "--tempo", "0.9")
    assert again.returncode == 0, again.stderr
    assert times(songs / "varied").items() > before.items()
    assert "5 recorded songs and 15 variants" in again.stdout


def test_a_song_that_cannot_be_read_is_left_out_and_named_until_it_is_mended(songs, run):
    drums = songs / "song1" / "drums.wav"
    good = drums.read_bytes()
    drums.write_text("not music")
    (songs / "song3" / "bass.wav").rename(songs / "bass.wav")
    result = run("augment", "-p", "config.json", *VARIED, "--method", "resample")
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    left_out = [line for line in result.stdout.splitlines() if line.startswith("left out: ")]
    assert [line.split(": ")[1] for line in left_out] == ["row 4", "song1"]
    assert "song1/drums.wav" in left_out[1]
    assert "songs left out: 2; varied/left_out.csv lists them" in result.stdout
    assert len(listed(songs / "varied" / "train.csv")) == 9

    drums.write_bytes(good)
    (songs / "bass.wav").rename(songs / "song3" / "bass.wav")
    before = times(songs / "varied")
    result = run("augment", "-p", "config.json", *VARIED, "--method", "resample")
    assert result.returncode == 0, result.stderr
    assert times(songs / "varied").items() > before.items()
    assert len(listed(songs / "varied" / "train.csv")) == 15
    assert not (songs / "varied" / "left_out.csv").exists()


def test_songs_that_cannot_be_used_or_written_or_are_held_out_get_no_variants(songs, run):
    mono, short = songs / "song1", songs / "song2" / "bass.wav"
    for path in mono.iterdir():
        soundfile.write(path, soundfile.read(path)[0][:, 0], 22050)
    soundfile.write(short, soundfile.read(short)[0][:66150], 22050)
    shutil.copytree(songs / "song5", songs / "copy")  # the validation's
    train = songs / "train.csv"
    last = train.read_text().splitlines()[-1]
    train.write_text(train.read_text() + last.replace("song4", "copy") + "\n")
    result = run("augment", "-p", "config.json", "--out", "varied", "--tempo", "1.1", "--method", "resample")
    assert result.returncode == 1, result.stderr
    rows = listed(songs / "varied" / "left_out.csv")
    assert [row["song"] for row in rows] == ["song1", "copy"]
    assert "n_channels" in rows[0]["reason"]
    assert "validation.csv" in rows[1]["reason"]
    assert "'song2' (bass is 1.00 s shorter than mix)" in result.stdout
    mixtures = [row["mix_path"].split("/")[-2] for row in listed(songs / "varied" / "train.csv")]
    assert {name.partition(" ")[0] for name in mixtures} == {"song0", "song2", "song3", "song4"}

    (folder,) = songs.glob("varied/audio/*/song0 *")
    shutil.rmtree(folder)
    folder.touch()  # nothing can be written there, but the disk takes other songs
    result = run("augment", "-p", "config.json", "--out", "varied", "--tempo", "1.1", "--method", "resample")
    assert result.returncode == 1, result.stderr
    assert [row["song"] for row in listed(songs / "varied" / "left_out.csv")] == ["song1", "copy", "song0"]
    assert len(listed(songs / "varied" / "train.csv")) == 6


def test_where_ffmpeg_has_no_rubber_band_it_says_so_and_resamples(songs, run):
    (songs / "bin").mkdir()
    programs = str(write_plain_ffmpeg(songs / "bin"))
    refused = run("augment", "-p", "config.json", *VARIED, "--method", "rubberband", FFMPEG_PATH=programs)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "--method rubberband" in line
    result = run("augment", "-p", "config.json", *VARIED, FFMPEG_PATH=programs)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("this ffmpeg has no filter rubberband: method resample: ")
    durations = [float(row["duration"]) for row in listed(songs / "varied" / "train.csv")][:3]
    np.testing.assert_allclose(durations, [4, 4 * 2 ** (2 / 12), 4 / 1.1], atol=1e-3)


def test_a_manifest_that_somebody_edited_stays(songs, run):
    (songs / "varied").mkdir()
    (songs / "varied" / "train.csv").write_text("mine\n")
    refused = run("augment", "-p", "config.json", *VARIED)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("varied: has train.csv, ")
    assert (songs / "varied" / "train.csv").read_text() == "mine\n"


def test_a_dry_run_makes_nothing(songs, run):
    before = sorted(songs.rglob("*"))
    result = run("augment", "-p", "config.json", *VARIED, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("5 songs, 2 variants of each by ")
    assert sorted(songs.rglob("*")) == before


def test_killed_in_the_middle_and_run_again_it_ends_as_if_nothing_had_been(songs, run, environment):
    undisturbed = run("augment", "-p", "config.json", "--out", "undisturbed", *VARIED[2:])
    assert undisturbed.returncode == 0, undisturbed.stderr
    command = [sys.executable, "-m", "flows.augment", "-p", "config.json", *VARIED, "--workers", "1"]
    process = subprocess.Popen(
        command, cwd=songs, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 240
    while len(list(songs.glob("varied/audio/*/song*/made_from.json"))) < 3:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)  # what it had started ends
    expected = contents(songs / "undisturbed")
    assert contents(songs / "varied").items() < expected.items()
    before = times(songs / "varied")
    result = run("augment", "-p", "config.json", *VARIED)
    assert result.returncode == 0, result.stderr
    finished = {path: changed for path, changed in before.items() if ".tmp" not in str(path)}
    assert times(songs / "varied").items() > finished.items()
    assert contents(songs / "varied") == expected
    assert not list(songs.rglob(".tmp*"))


def test_a_cluster_makes_the_same_variants(songs, run, scheduler, prefect_server):
    here = run("augment", "-p", "config.json", "--out", "here", *VARIED[2:])
    assert here.returncode == 0, here.stderr
    options = ["--runner", "dask", "--scheduler", scheduler]
    there = run("augment", "-p", "config.json", "--out", "there", *VARIED[2:], *options, PREFECT_API_URL=prefect_server)
    assert there.returncode == 0, there.stderr
    assert contents(songs / "there") == contents(songs / "here")
    with distributed.Client(scheduler) as client:
        done = client.run(lambda dask_worker: len(dask_worker.state.log))
    assert min(done.values()) > 0
