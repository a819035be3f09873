"""Songs worked on by a real Dask cluster of two worker processes on this machine."""

import json
import os
import shutil
import subprocess
import sys
import time
from os.path import relpath
from pathlib import Path

import distributed
import numpy as np
import pytest
import soundfile

from tests.faults.workplace import LONG
from tests.flows.conftest import dask_cluster
from tests.models import write_model

pytestmark = pytest.mark.slow


def shards(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("keys", [{}, {"cache_content": "waveform", "cache_dtype": "int24"}])
def test_a_cluster_makes_the_same_shards_and_every_worker_takes_part(
    small_dataset, scheduler, prefect_server, run, tmp_path, keys
):
    config = json.loads((small_dataset / "config.json").read_text()) | keys
    results = {}
    for runner, options in {"local": [], "dask": ["--runner", "dask", "--scheduler", scheduler]}.items():
        # Relative paths, though a cluster's workers have another working directory.
        dataset = shutil.copytree(small_dataset, tmp_path / f"{runner}-songs")
        paths = {key: relpath(dataset / config[key], tmp_path) for key in ("train_csv", "validation_csv")}
        caches = {key: f"{runner}/{key}" for key in ("training_cache", "validation_cache")}
        (tmp_path / f"{runner}.json").write_text(json.dumps(config | paths | caches))
        variables = {"PREFECT_API_URL": prefect_server} if options else {}
        results[runner] = run("cache", "-p", f"{runner}.json", *options, **variables)
        assert results[runner].returncode == 0, results[runner].stderr
    for part in ("training_cache", "validation_cache"):
        assert shards(tmp_path / "local" / part) == shards(tmp_path / "dask" / part)
    with distributed.Client(scheduler) as client:
        done = client.run(lambda dask_worker: len(dask_worker.state.log))
    assert len(done) == 2
    assert min(done.values()) > 0


def test_a_cluster_separates_songs_and_every_worker_loads_the_model_once_and_takes_part(
    scheduler, prefect_server, run, tmp_path
):
    write_model(tmp_path / "model")
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (8000, 2))
    (tmp_path / "songs").mkdir()
    for number in range(8):
        soundfile.write(tmp_path / "songs" / f"{number}.wav", noise, 8000)
    (tmp_path / "songs" / "text.mp3").write_text("not music")
    with distributed.Client(scheduler) as client:
        before = client.run(loaded_separators)
    command = ["separate_batch", "songs", "-p", "model"]
    assert run(*command, "-o", "here").returncode == 1
    result = run(*command, "-o", "out", "--runner", "dask", "--scheduler", scheduler, PREFECT_API_URL=prefect_server)
    assert result.returncode == 1, result.stderr
    assert "9 songs in out: 8 done, 0 skipped, 1 failed" in result.stdout
    stems = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.wav")}
    assert stems == {
        path.relative_to(tmp_path / "here"): path.read_bytes() for path in (tmp_path / "here").rglob("*.wav")
    }
    with distributed.Client(scheduler) as client:
        after = client.run(loaded_separators)
    assert [after[worker] - number for worker, number in before.items()] == [1, 1]


def write_songs(folder, number, seconds=1):
    folder.mkdir()
    for seed in range(number):
        noise = np.random.default_rng(seed).uniform(-0.3, 0.3, (8000 * seconds, 2))
        soundfile.write(folder / f"{seed}.wav", noise, 8000)


def test_workers_that_find_another_model_under_the_same_name_refuse_in_one_line(
    scheduler, prefect_server, run, tmp_path
):
    with distributed.Client(scheduler) as client:
        (there,) = set(client.run(os.getcwd).values())  # in which pretrained_models is their MODEL_PATH
    theirs = Path(there) / "pretrained_models" / "named"
    ours = tmp_path / "models" / "named"
    for seed, model in enumerate((ours, theirs)):
        put_model(model, seed)
    write_songs(tmp_path / "songs", 3)
    command = ["separate_batch", "songs", "-o", "out", "-p", "named", "--runner", "dask", "--scheduler", scheduler]
    variables = {"PREFECT_API_URL": prefect_server, "MODEL_PATH": str(tmp_path / "models")}
    result = run(*command, **variables)
    assert result.returncode == 2, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "the model in" in line]
    assert str(ours) in line
    assert str(theirs) in line
    assert "Traceback" not in result.stderr
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    shutil.rmtree(theirs)
    put_model(theirs, 0)
    result = run(*command, **variables)
    assert "3 songs in out: 3 done" in result.stdout, result.stderr


def put_model(folder, seed):
    """A small model as it lies in MODEL_PATH."""
    made = write_model(folder.with_name("made"), seed)
    (made / "model").rename(folder)
    shutil.copy(made / "config.json", folder)


@LONG
def test_a_worker_that_is_killed_halfway_costs_no_song_and_no_byte(prefect_server, environment, run, tmp_path):
    write_model(tmp_path / "model")
    write_songs(tmp_path / "songs", 8, seconds=120)
    command = [sys.executable, "-m", "flows.separate_batch", "songs", "-p", "model"]
    (tmp_path / "dask").mkdir()
    with dask_cluster(tmp_path / "dask", environment, prefect_server) as (address, workers):
        process = subprocess.Popen(
            [*command, "-o", "out", "--runner", "dask", "--scheduler", address],
            cwd=tmp_path,
            env=environment | {"PREFECT_API_URL": prefect_server},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            # Both are in the middle of a song.
            while len({path.parent for path in (tmp_path / "out").rglob(".tmp-*")}) < 2 and process.poll() is None:
                time.sleep(0.01)
            workers[0].kill()
            workers[0].wait()
            stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "8 songs in out: 8 done" in stdout
    assert run("separate_batch", "songs", "-p", "model", "-o", "here").returncode == 0
    stems = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.wav")}
    assert stems == {
        path.relative_to(tmp_path / "here"): path.read_bytes() for path in (tmp_path / "here").rglob("*.wav")
    }


def test_a_cluster_scores_songs_and_every_worker_loads_the_model_once_and_takes_part(
    scheduler, prefect_server, run, tmp_path
):
    write_model(tmp_path / "scored")
    names = ("mix", "vocals", "accompaniment")
    rng = np.random.default_rng(0)
    for number in range(6):
        (tmp_path / f"song{number}").mkdir()
        vocals, accompaniment = rng.uniform(-0.3, 0.3, (2, 16000, 2))
        for name, waveform in zip(names, (vocals + accompaniment, vocals, accompaniment), strict=True):
            soundfile.write(tmp_path / f"song{number}" / f"{name}.wav", waveform, 8000)
    rows = [",".join([*(f"song{number}/{name}.wav" for name in names), "2"]) for number in range(6)]
    header = ",".join([*(f"{name}_path" for name in names), "duration"])
    (tmp_path / "test.csv").write_text("\n".join([header, *rows]) + "\n")
    with distributed.Client(scheduler) as client:
        before = client.run(loaded_separators)
    # Relative paths, though a cluster's workers have another working directory.
    command = ["evaluate", "-p", "scored", "--csv", "test.csv", "--baselines", "mixture", "--listen", "1"]
    for out, options in {"here": [], "out": ["--runner", "dask", "--scheduler", scheduler]}.items():
        result = run(*command, "-o", out, *options, **({"PREFECT_API_URL": prefect_server} if options else {}))
        assert result.returncode == 0, result.stderr
    for folder in ("test", "baselines/mixture/test", "excerpts/song0", "excerpts/song5"):
        assert contents(tmp_path / "out" / folder) == contents(tmp_path / "here" / folder)
    assert len(contents(tmp_path / "out" / "test")) == 6
    assert (tmp_path / "out" / "scores.json").read_text() == (tmp_path / "here" / "scores.json").read_text()
    with distributed.Client(scheduler) as client:
        after = client.run(loaded_separators)
    assert [after[worker] - number for worker, number in before.items()] == [1, 1]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*")}


def loaded_separators():
    from sepcore.separation import shared as separators

    return separators._separator.cache_info().misses
