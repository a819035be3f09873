"""The input pipeline beside the training step that it feeds, on this machine's processor."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sepcore import load_config
from tests.bench.songs import write_songs
from tests.models import small_config
from tests.repository import ROOT

SCRIPTS = Path(__file__).parent
# The training step takes the batches of the last one.
STORED = {
    "waveforms": {"cache_content": "waveform", "cache_dtype": "int16"},
    "parquet": {"cache_format": "parquet"},
    "tfrecord": {"cache_format": "tfrecord"},
}


def last_line(*command):
    ran = subprocess.run(
        [sys.executable, *map(str, command)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.slow
def test_batches_beside_a_training_step(full_size, tmp_path, capsys):
    num_songs, duration_s, num_batches, num_steps = (4, 60, 200, 5) if full_size else (1, 5, 4, 2)
    write_songs(tmp_path / "train.csv", num_songs, duration_s=duration_s, instruments=("vocals", "accompaniment"))
    content = json.loads((load_config("2stems") if full_size else small_config(sample_rate=44100)).to_json())
    configs = {}
    for name, keys in STORED.items():
        cache = tmp_path / name
        places = {"train_csv": str(tmp_path / "train.csv"), "training_cache": str(cache), "n_chunks_per_song": 10}
        configs[name] = tmp_path / f"{name}.json"
        configs[name].write_text(json.dumps(content | places | keys))
        last_line(SCRIPTS / "cache_speed.py", "ours", configs[name], cache)
    rates = last_line(SCRIPTS / "batches_speed.py", num_batches, num_steps, *configs.values())
    with capsys.disabled():
        for name, batches_s in zip(configs, rates["batches_s"], strict=True):
            sys.stdout.write(
                f"\ninput pipeline from {name}: {batches_s:.1f} batches a second, training "
                f"{rates['steps_s']:.2f} steps a second, ratio {batches_s / rates['steps_s']:.1f}\n"
            )


@pytest.mark.slow
def test_memory_by_the_number_of_songs(full_size, tmp_path, capsys):
    counts, num_batches = ((10, 200), 500) if full_size else ((1, 3), 4)
    content = json.loads((load_config("2stems") if full_size else small_config(sample_rate=44100)).to_json())
    content |= {"cache_content": "waveform", "cache_dtype": "int16", "n_chunks_per_song": "all"}
    content["augmentation"] = {"remix": 0.5, "gain_db": 4, "polarity": True, "time_shift_s": 0.5, "activity": 0.5}
    peaks = []
    for num_songs in counts:
        folder = tmp_path / str(num_songs)
        write_songs(folder / "train.csv", num_songs, duration_s=14, instruments=("vocals", "accompaniment"))
        places = {"train_csv": str(folder / "train.csv"), "training_cache": str(folder / "cache")}
        config = folder / "config.json"
        config.write_text(json.dumps(content | places))
        last_line(SCRIPTS / "cache_speed.py", "ours", config, folder / "cache")
        measured = last_line(SCRIPTS / "batches_memory.py", num_batches, config)
        assert measured["songs"] == num_songs
        peaks.append(measured["peak_mb"])
    with capsys.disabled():
        shown = " and ".join(f"{peak_mb:.0f} MB for {songs}" for songs, peak_mb in zip(counts, peaks, strict=True))
        sys.stdout.write(f"\nmemory of the loader over {num_batches} batches of waveforms: {shown} songs\n")
