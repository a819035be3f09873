"""The feature cache: this project beside the real Spleeter on the same songs, and its memory by the number of songs."""

import json
import os
import shutil
import statistics
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.bench.measured import run_measured
from tests.bench.songs import RATE, write_songs
from tests.repository import ROOT

CACHE_SPEED = Path(__file__).with_name("cache_speed.py")
FOUR_STEMS = ("vocals", "drums", "bass", "other")
TWO_STEMS = ("vocals", "accompaniment")


def write_dataset(folder, instruments, *, num_songs, duration_s, **keys):
    """Songs, their CSVs and a config that Spleeter reads as well; keywords are its keys."""
    config = {
        "mix_name": "mix",
        "instrument_list": list(instruments),
        "sample_rate": RATE,
        "frame_length": 4096,
        "frame_step": 1024,
        "T": 512,
        "F": 1024,
        "n_channels": 2,
        "chunk_duration": 20,
        "train_csv": str(folder / "train.csv"),
        "validation_csv": str(folder / "validation.csv"),
        **keys,
    }
    write_songs(folder / "train.csv", num_songs, duration_s=duration_s, instruments=instruments)
    one_chunk_s = config["chunk_duration"] + 2
    write_songs(folder / "validation.csv", 1, duration_s=one_chunk_s, instruments=instruments, first_seed=9)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture
def measured(tmp_path):
    """``measured(command)`` runs a command in the test's folder and measures it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment = kept | {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / "prefect")}
    return partial(run_measured, env=environment, cwd=tmp_path)


@dataclass(frozen=True)
class Cached:
    """One caching of the training songs."""

    num_chunks: int
    elapsed_s: float
    bytes_per_chunk: float
    memory_mb: float
    process_s: float
    audio_s: float = 0.0  # of the chunks
    reads_s: float = 0.0  # parts of a segment's length of all signals that one thread reads in a second


@pytest.fixture
def cache_songs(full_size, tmp_path, measured):
    """``cache_songs("ours", python)`` caches the same songs each time, four stems each, in a process of its own.

    Keywords are other values of the config's keys.
    """
    if full_size:
        size = {"num_songs": 3, "duration_s": 180, "n_chunks_per_song": 20}
    else:
        size = {"num_songs": 1, "duration_s": 5, "n_chunks_per_song": 3, "T": 64, "chunk_duration": 2}
    write_dataset(tmp_path, FOUR_STEMS, **size)

    def cache(who, python, **keys):
        config = json.loads((tmp_path / "config.json").read_text()) | keys
        (tmp_path / "this.json").write_text(json.dumps(config))
        folder = tmp_path / who
        folder.mkdir()
        took = measured(python, CACHE_SPEED, who, tmp_path / "this.json", folder)
        answer = json.loads(took.said)
        num_bytes = sum(path.stat().st_size for path in folder.iterdir())
        shutil.rmtree(folder)  # gigabytes
        chunks = answer["chunks"]
        more = {name: answer[name] for name in ("audio_s", "reads_s") if name in answer}
        return Cached(chunks, answer["elapsed_s"], num_bytes / chunks, took.largest_mb, took.elapsed_s, **more)

    return cache


@pytest.mark.slow
def test_cache_alone(cache_songs, capsys):
    cached = cache_songs("ours", sys.executable)
    with capsys.disabled():
        sys.stdout.write(
            f"\ncache of {cached.num_chunks} chunks of 5 signals: {cached.num_chunks / cached.elapsed_s:.2f} a second, "
            f"{cached.bytes_per_chunk / 1e6:.3f} MB each; peak memory {cached.memory_mb:.0f} MB\n"
        )


CONTENTS = {
    "magnitudes": {},
    "magnitudes, float16": {"cache_dtype": "float16"},
    "magnitudes, parquet": {"cache_format": "parquet"},
    "waveforms": {"cache_content": "waveform"},
    "waveforms, int24": {"cache_content": "waveform", "cache_dtype": "int24"},
    "waveforms, parquet": {"cache_content": "waveform", "cache_format": "parquet"},
}


@pytest.mark.slow
def test_waveforms_beside_magnitudes(cache_songs, capsys):
    for name, keys in CONTENTS.items():
        cached = cache_songs("ours", sys.executable, **keys)
        num_bytes = cached.bytes_per_chunk * cached.num_chunks
        with capsys.disabled():
            sys.stdout.write(
                f"\n{name}: {num_bytes / cached.audio_s * 3600 / 1e9:.2f} GB an hour of 5 signals, cached at "
                f"{cached.audio_s / cached.elapsed_s:.0f} times real time, {cached.reads_s:.0f} segments of all "
                f"signals read a second by one thread; peak memory {cached.memory_mb:.0f} MB\n"
            )


@pytest.mark.peers
@pytest.mark.slow
def test_cache_beside_spleeter(cache_songs, measured, spleeter_python, full_size, capsys):
    rounds = {"ours": [], "spleeter": []}
    for _ in range(2 if full_size else 1):
        for who, python in (("ours", sys.executable), ("spleeter", spleeter_python)):
            rounds[who].append(cache_songs(who, python))
    # Prefect's database is made once in a user's life.
    measured(sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y")
    command = measured(sys.executable, "-m", "flows.cache", "-p", "config.json")
    ours, theirs = rounds.values()
    assert ours[0].num_chunks == theirs[0].num_chunks
    rate, their_rate = (
        cached[0].num_chunks / statistics.median(each.elapsed_s for each in cached) for cached in (ours, theirs)
    )
    with capsys.disabled():
        sys.stdout.write(
            f"\ncache of {ours[0].num_chunks} chunks of 5 signals: ours {rate:.2f}, Spleeter {their_rate:.2f} chunks a "
            f"second, ratio {rate / their_rate:.2f}; {ours[0].bytes_per_chunk / 1e6:.3f} and "
            f"{theirs[0].bytes_per_chunk / 1e6:.3f} MB a chunk, ratio "
            f"{ours[0].bytes_per_chunk / theirs[0].bytes_per_chunk:.4f}; peak memory "
            f"{max(each.memory_mb for each in ours):.0f} and {max(each.memory_mb for each in theirs):.0f} MB; "
            f"whole processes {command.elapsed_s:.0f} s (python -m flows.cache: Prefect's server, dataset check and a "
            f"validation chunk too) and {theirs[0].process_s:.0f} s\n"
        )


@pytest.mark.slow
def test_memory_by_the_number_of_songs(full_size, measured, tmp_path, capsys):
    if full_size:
        few, many, size = 10, 200, {"duration_s": 24, "n_chunks_per_song": 2}
    else:
        few, many, size = 1, 6, {"duration_s": 4, "n_chunks_per_song": 2, "T": 64, "chunk_duration": 2}
    took = {}
    for num_songs in (few, many):
        folder = tmp_path / f"{num_songs} songs"
        caches = {part: str(folder / part) for part in ("training_cache", "validation_cache")}
        write_dataset(folder, TWO_STEMS, num_songs=num_songs, **size, **caches)
        took[num_songs] = measured(sys.executable, "-m", "flows.cache", "-p", folder / "config.json")
    with capsys.disabled():
        sys.stdout.write(
            f"\nmemory of python -m flows.cache for {few} and {many} songs: largest process {took[few].largest_mb:.0f} "
            f"and {took[many].largest_mb:.0f} MB, ratio {took[many].largest_mb / took[few].largest_mb:.3f}; all "
            f"processes {took[few].sum_mb:.0f} and {took[many].sum_mb:.0f} MB, ratio "
            f"{took[many].sum_mb / took[few].sum_mb:.3f} ({took[few].elapsed_s:.0f} and {took[many].elapsed_s:.0f} s)\n"
        )
