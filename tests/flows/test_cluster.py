"""Songs worked on by a real Dask cluster of two worker processes on this machine."""

import json
from pathlib import Path

import distributed
import numpy as np
import pytest
import soundfile

from tests.models import convert_here, write_model

pytestmark = pytest.mark.slow


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_a_cluster_makes_the_same_shards_and_every_worker_takes_part(small_dataset, scheduler, run, tmp_path):
    for folder in ("local", "dask"):
        (tmp_path / folder).mkdir()
    config = json.loads((small_dataset / "config.json").read_text())
    results = {}
    for runner, options in {"local": [], "dask": ["--runner", "dask", "--scheduler", scheduler]}.items():
        # Absolute paths: a cluster's workers have another working directory.
        paths = {key: str(small_dataset / config[key]) for key in ("train_csv", "validation_csv")}
        caches = {key: str(tmp_path / runner / key) for key in ("training_cache", "validation_cache")}
        (tmp_path / f"{runner}.json").write_text(json.dumps(config | paths | caches))
        for report in small_dataset.glob("*.check.parquet"):
            report.unlink()
        results[runner] = run("cache", "-p", f"{runner}.json", *options)
        assert results[runner].returncode == 0, results[runner].stderr
    for part in ("training_cache", "validation_cache"):
        assert shards(tmp_path / "local" / part) == shards(tmp_path / "dask" / part)
    with distributed.Client(scheduler) as client:
        done = client.run(lambda dask_worker: len(dask_worker.state.log))
    assert len(done) == 2
    assert min(done.values()) > 0


def test_a_cluster_separates_songs_and_every_worker_loads_the_model_once_and_takes_part(scheduler, run, tmp_path):
    convert_here(write_model(tmp_path / "model"))
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (8000, 2))
    (tmp_path / "songs").mkdir()
    for number in range(8):
        soundfile.write(tmp_path / "songs" / f"{number}.wav", noise, 8000)
    (tmp_path / "songs" / "text.mp3").write_text("not music")
    command = ["separate_batch", "songs", "-p", "model"]
    assert run(*command, "-o", "here").returncode == 1
    result = run(*command, "-o", "out", "--runner", "dask", "--scheduler", scheduler)
    assert result.returncode == 1, result.stderr
    assert "9 songs in out: 8 done, 0 skipped, 1 failed" in result.stdout
    stems = {path.relative_to(tmp_path / "out"): path.read_bytes() for path in (tmp_path / "out").rglob("*.wav")}
    assert stems == {
        path.relative_to(tmp_path / "here"): path.read_bytes() for path in (tmp_path / "here").rglob("*.wav")
    }
    with distributed.Client(scheduler) as client:
        loaded = client.run(loaded_separators)
    assert list(loaded.values()) == [1, 1]


def stems(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.wav")}


def loaded_separators():
    from sepcore.batch import separators

    return separators._separator.cache_info().misses
