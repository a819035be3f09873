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
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sepcore import load_config
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
MEASURED = Path(__file__).with_name("measured.py")
SPEED = Path(__file__).with_name("separation_speed.py")
RATE = 44100


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """MODEL_PATH with Spleeter's 2stems (random weights where the real ones are not there), its network converted."""
    folder = tmp_path_factory.mktemp("models")
    if (SHARED / "models" / "2stems.tar.gz").is_file():
        shutil.copyfile(SHARED / "models" / "2stems.tar.gz", folder / "2stems.tar.gz")
    else:
        write_checkpoint(build_network(load_config("2stems")), folder / "2stems", step=0)
        (folder / "2stems" / ".probe").write_text("OK")
    code = "from sepcore import Separator; Separator('2stems')"
    subprocess.run([sys.executable, "-c", code], env=environment(folder), check=True, capture_output=True)
    return folder


def environment(models):
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "GITHUB_"))}
    return kept | {"PYTHONPATH": str(ROOT), "MODEL_PATH": str(models)}


def measured(models, *command):
    """What a command says last and what is measured of it and all that it starts; see measured.py."""
    behind = [sys.executable, str(MEASURED), *map(str, command)]
    ran = subprocess.run(behind, env=environment(models), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    said, measures = ran.stdout.splitlines()[-2:]
    return said, json.loads(measures)


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


def warm(models, python, who, seconds, runs):
    said, measures = measured(models, python, SPEED, who, seconds, runs)
    return json.loads(said) | {"memory_mb": measures["largest_mb"]}


def in_turn(models, rival, python, seconds, runs, rounds):
    """Results of both, one after the other, and the medians of their times."""
    results = {"ours": [], rival: []}
    for _ in range(rounds):
        results["ours"].append(warm(models, sys.executable, "ours", seconds, runs))
        results[rival].append(warm(models, python, rival, seconds, runs))
    medians = [statistics.median(time for result in each for time in result["elapsed_s"]) for each in results.values()]
    return *results.values(), *medians


@pytest.mark.peers
def test_a_loaded_model_beside_spleeter(spleeter_python, models, full_size, say):
    seconds, runs, rounds = (180, 3, 3) if full_size else (12, 1, 1)
    ours, theirs, ours_s, theirs_s = in_turn(models, "spleeter", spleeter_python, seconds, runs, rounds)
    network_s = min(result["network_s"] for result in ours)
    memory = [max(result["memory_mb"] for result in each) for each in (ours, theirs)]
    say(
        f"separation of {seconds} s, warm: ours {seconds / ours_s:.1f}, Spleeter {seconds / theirs_s:.1f} times real "
        f"time, ratio {theirs_s / ours_s:.2f}; our network alone {network_s / ours_s:.0%} of that; peak memory "
        f"{memory[0]:.0f} and {memory[1]:.0f} MB"
    )


def test_a_loaded_model_beside_open_unmix(models, full_size, say):
    python = os.environ.get("STEMWORKS_UMX")
    if not python:
        pytest.skip("STEMWORKS_UMX names no Python that has openunmix")
    seconds, runs, rounds = (180, 2, 2) if full_size else (12, 1, 1)
    _, _, ours_s, theirs_s = in_turn(models, "openunmix", python, seconds, runs, rounds)
    say(
        f"separation of {seconds} s, warm: ours {seconds / ours_s:.1f}, Open-Unmix with two targets of random weights "
        f"{seconds / theirs_s:.1f} times real time, ratio {theirs_s / ours_s:.2f}"
    )


@pytest.mark.peers
@pytest.mark.parametrize("num_songs", [1, 20])
def test_a_cold_process_beside_spleeters(num_songs, spleeter_python, models, full_size, tmp_path, say):
    seconds, rounds = (180, 1 if num_songs > 1 else 3) if full_size else (10, 1)
    num_songs = num_songs if full_size else min(num_songs, 2)
    songs = [write_noise(tmp_path / f"songs/{number}.wav", seconds, number) for number in range(num_songs)]
    command = spleeter_python.with_name("spleeter")
    times = {"ours": [], "spleeter": []}
    for number in range(rounds):
        for who in times:
            out = tmp_path / f"{who} {number}"
            theirs = [command, "separate", "-o", out, *songs]
            times[who].append(measured(models, *(folder_command(out, *songs) if who == "ours" else theirs))[1])
            assert len(list(out.rglob("*.wav"))) == 2 * num_songs
            shutil.rmtree(out)
    ours, theirs = (statistics.median(measure["elapsed_s"] for measure in each) for each in times.values())
    memory = [max(measure["sum_mb"] for measure in each) for each in times.values()]
    say(
        f"one cold process, {num_songs} wav files of {seconds} s: ours {ours:.2f} s, Spleeter {theirs:.2f} s, ratio "
        f"{theirs / ours:.2f}; peak memory of all processes {memory[0]:.0f} and {memory[1]:.0f} MB"
    )


def test_memory_does_not_grow_with_the_length_of_a_song(models, full_size, tmp_path, say):
    lengths = (180, 3600) if full_size else (10, 60)
    peaks = []
    for seconds in lengths:
        song = write_noise(tmp_path / f"{seconds}.wav", seconds)
        peaks.append(measured(models, *folder_command(tmp_path / "out", song))[1]["sum_mb"])
        shutil.rmtree(tmp_path / "out")
        song.unlink()
    short, long = peaks
    say(
        f"folder command, peak memory of all processes: {short:.0f} MB for {lengths[0]} s of stereo, {long:.0f} MB for "
        f"{lengths[1]} s ({long / short - 1:+.1%})"
    )
    assert long < 1500


def test_memory_does_not_grow_with_the_number_of_songs(models, full_size, tmp_path, say):
    few, many, seconds = (10, 100, 30) if full_size else (2, 6, 10)
    for number in range(many):
        write_noise(tmp_path / f"many/{number}.wav", seconds, number)
        if number < few:
            shutil.copyfile(tmp_path / f"many/{number}.wav", write_noise(tmp_path / f"few/{number}.wav", 10))
    peaks = {}
    for name in ("few", "many"):
        peaks[name] = measured(models, *folder_command(tmp_path / "out", tmp_path / name))[1]["sum_mb"]
        shutil.rmtree(tmp_path / "out")
    say(
        f"folder command, peak memory of all processes: {peaks['few']:.0f} MB for {few} songs of {seconds} s, "
        f"{peaks['many']:.0f} MB for {many} ({peaks['many'] / peaks['few'] - 1:+.1%})"
    )
    assert peaks["many"] < 1500
