"""Separation of two stems beside its rivals: warm, cold, a folder, and in memory that does not grow.

The rivals are the real Spleeter (``make peers``) and, for its speed alone, Open-Unmix with random weights, if
STEMWORKS_UMX names a Python that has ``openunmix``.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepcore import load_config
from sepcore.engines.select import chosen_precision
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from tests.bench.measured import run_measured
from tests.repository import ROOT

pytestmark = pytest.mark.slow

SHARED = ROOT.parent / "shared"
SPEED = Path(__file__).with_name("separation_speed.py")
RATE = 44100


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """MODEL_PATH with Spleeter's 2stems, unpacked (random weights where the real ones are not there)."""
    folder = tmp_path_factory.mktemp("models")
    if (SHARED / "models" / "2stems.tar.gz").is_file():
        shutil.copyfile(SHARED / "models" / "2stems.tar.gz", folder / "2stems.tar.gz")
    else:
        write_checkpoint(build_network(load_config("2stems")), folder / "2stems", step=0)
        (folder / "2stems" / ".probe").write_text("OK")
    code = "from sepcore import Separator; Separator('2stems')"
    subprocess.run([sys.executable, "-c", code], env=environment(folder), check=True, capture_output=True)
    (folder / "2stems.tar.gz").unlink(missing_ok=True)
    return folder


def environment(models):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "GITHUB_"))}
    return kept | {"PYTHONPATH": str(ROOT), "MODEL_PATH": str(models)}


def measured(models, *command):
    return run_measured(*command, env=environment(models))


def write_noise(path, seconds, seed=0):
    """A 16-bit wav of stereo noise, written ten seconds at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", RATE, 2) as file:
        for start in range(0, seconds, 10):
            file.write(rng.integers(-9000, 9000, (min(10, seconds - start) * RATE, 2), np.int16))
    return path


def folder_command(out, *songs):
    return [sys.executable, "-m", "flows.separate_batch", *songs, "-o", out]


@pytest.fixture
def say(capsys):
    def write(line):
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return write


@dataclass(frozen=True)
class Warm:
    """Separations with a loaded model: medians of their times in seconds, and peak memory."""

    elapsed_s: float
    network_s: float
    memory_mb: float


def warm(models, size, **pythons):
    """Separations of everyone named, in turn, in processes of their own."""
    seconds, runs, rounds = size
    times = {who: {"elapsed_s": [], "network_s": [], "memory_mb": []} for who in pythons}
    for _ in range(rounds):
        for who, python in pythons.items():
            measures = measured(models, python, SPEED, who, seconds, runs)
            for key, values in json.loads(measures.said).items():
                times[who][key] += values
            times[who]["memory_mb"].append(measures.largest_mb)
    return [
        Warm(statistics.median(of["elapsed_s"]), statistics.median(of["network_s"] or [0]), max(of["memory_mb"]))
        for of in times.values()
    ]


@pytest.mark.peers
def test_a_loaded_model_beside_spleeter(spleeter_python, models, full_size, say):
    size = seconds, _, _ = (180, 3, 3) if full_size else (12, 1, 1)
    precise, automatic, theirs = warm(
        models, size, ours=sys.executable, bfloat16=sys.executable, spleeter=spleeter_python
    )
    chosen = chosen_precision("auto", "auto", load_config("2stems"))
    for name, ours in {"float32": precise, f"auto ({chosen})": automatic}.items():
        say(
            f"separation of {seconds} s, warm, {name}: ours {seconds / ours.elapsed_s:.1f}, Spleeter "
            f"{seconds / theirs.elapsed_s:.1f} times real time, ratio {theirs.elapsed_s / ours.elapsed_s:.2f}; our "
            f"network alone {ours.network_s / ours.elapsed_s:.0%} of our time; peak memory {ours.memory_mb:.0f} and "
            f"{theirs.memory_mb:.0f} MB"
        )


def test_a_loaded_model_beside_open_unmix(models, full_size, say):
    python = os.environ.get("STEMWORKS_UMX")
    if not python:
        pytest.skip("STEMWORKS_UMX names no Python that has openunmix")
    size = seconds, _, _ = (180, 2, 2) if full_size else (12, 1, 1)
    ours, theirs = warm(models, size, ours=sys.executable, openunmix=python)
    say(
        f"separation of {seconds} s, warm: ours {seconds / ours.elapsed_s:.1f}, Open-Unmix with two targets of random "
        f"weights {seconds / theirs.elapsed_s:.1f} times real time, ratio {theirs.elapsed_s / ours.elapsed_s:.2f}; "
        f"peak memory {ours.memory_mb:.0f} and {theirs.memory_mb:.0f} MB"
    )


@pytest.mark.peers
@pytest.mark.parametrize("num_songs", [1, 20])
def test_a_cold_process_beside_spleeters(num_songs, spleeter_python, models, full_size, tmp_path, say):
    seconds, rounds = (180, 1 if num_songs > 1 else 3) if full_size else (10, 1)
    num_songs = num_songs if full_size else min(num_songs, 2)
    songs = [write_noise(tmp_path / f"songs/{number}.wav", seconds, number) for number in range(num_songs)]
    command = spleeter_python.with_name("spleeter")
    took = {"ours": [], "spleeter": []}
    for number in range(rounds):
        for who in took:
            out = tmp_path / f"{who} {number}"
            theirs = [command, "separate", "-o", out, *songs]
            took[who].append(measured(models, *(folder_command(out, *songs) if who == "ours" else theirs)))
            assert len(list(out.rglob("*.wav"))) == 2 * num_songs
            shutil.rmtree(out)
    ours, theirs = (statistics.median(measures.elapsed_s for measures in each) for each in took.values())
    memory = [max(measures.sum_mb for measures in each) for each in took.values()]
    say(
        f"one cold process, {num_songs} x {seconds} s of wav: ours {ours:.2f} s, Spleeter {theirs:.2f} s, ratio "
        f"{theirs / ours:.2f}; peak memory of all processes {memory[0]:.0f} and {memory[1]:.0f} MB"
    )


def test_memory_does_not_grow_with_the_length_of_a_song(models, full_size, tmp_path, say):
    lengths = (180, 3600) if full_size else (40, 120)
    peaks = []
    for seconds in lengths:
        song = write_noise(tmp_path / f"{seconds}.wav", seconds)
        peaks.append(measured(models, *folder_command(tmp_path / "out", song)).sum_mb)
        shutil.rmtree(tmp_path / "out")
        song.unlink()
    short, long = peaks
    say(
        f"folder command, peak memory of all processes: {short:.0f} MB for {lengths[0]} s of stereo, {long:.0f} MB for "
        f"{lengths[1]} s ({long / short - 1:+.1%})"
    )
    assert long < 1500


def test_memory_does_not_grow_with_the_number_of_songs(models, full_size, tmp_path, say):
    num_songs, seconds = (100, 30) if full_size else (5, 20)
    for number in range(num_songs):
        write_noise(tmp_path / f"songs/{number}.wav", seconds, number)
    measures = measured(models, *folder_command(tmp_path / "out", tmp_path / "songs"))
    folders = [path for path in (tmp_path / "out").glob("[!.]*") if path.is_dir()]
    done = sorted(max(stem.stat().st_mtime for stem in folder.iterdir()) for folder in folders)
    assert len(done) == num_songs
    fifth = num_songs // 5
    # The first song is start-up, too.
    first, last = (median_mb(measures, done[0], done[fifth]), median_mb(measures, done[-1 - fifth], done[-1]))
    say(
        f"folder command on {num_songs} songs of {seconds} s, median memory of all processes: {first:.0f} MB over the "
        f"first fifth, {last:.0f} MB over the last ({last / first - 1:+.1%}); peak {measures.sum_mb:.0f} MB"
    )
    assert measures.sum_mb < 1500


def median_mb(measures, start, end):
    """Of the memory of all processes between two times of day."""
    return statistics.median(megabytes for time, megabytes in measures.looks if start <= time <= end)
