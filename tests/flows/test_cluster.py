"""The cache stage on a real Dask cluster of two worker processes on this machine."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import distributed
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory, environment) -> Iterator[str]:
    """Address of a Dask scheduler with two worker processes, none of them a child of the command's."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    variables = environment | {"DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    local = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    worker = ["worker", "--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1", "--no-nanny"]
    started = [
        subprocess.Popen([sys.executable, "-m", "dask", "scheduler", "--port", "0", *local], env=variables, **quiet)
    ]
    started += [
        subprocess.Popen([sys.executable, "-m", "dask", *worker, "--scheduler-file", str(file)], env=variables, **quiet)
        for _ in range(2)
    ]
    try:
        with distributed.Client(scheduler_file=str(file), timeout=60) as client:
            client.wait_for_workers(2, timeout=60)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in started:
            process.kill()
            process.wait()


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
