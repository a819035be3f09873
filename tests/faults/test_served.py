"""Runs of deployments whose processes are killed: what Prefect's page says, and what the next run finds."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from sepcore.training.checkpoints import kept_steps
from tests.faults.workplace import NUM_KILLS
from tests.flows.conftest import small_dataset  # noqa: F401 -- a fixture
from tests.flows.served import Served
from tests.repository import ROOT

pytestmark = pytest.mark.slow

_PATIENCE_S = 240.0
# Too little for a training that begins.
_ROOM = 100 << 20


@pytest.fixture
def served(small_dataset, tmp_path):  # noqa: F811 -- the fixture
    """What is served where ``mine.json`` trains for hours, with a checkpoint at every step."""
    dataset = shutil.copytree(small_dataset, tmp_path / "dataset")
    csvs = {"train_csv": str(dataset / "train.csv"), "validation_csv": str(dataset / "validation.csv")}
    content = json.loads((dataset / "config.json").read_text()) | csvs
    content |= {"train_max_steps": 1_000_000, "save_checkpoints_steps": 1, "batch_size": 2, "validation_songs": 0}
    (tmp_path / "mine.json").write_text(json.dumps(content))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "MLFLOW_"))}
    made = Served(tmp_path, environment | {"PYTHONPATH": str(ROOT)})
    made.start()
    yield made
    made.kill_all()


@pytest.fixture
def little_memory():
    """``little_memory(pid)``: the kernel's out-of-memory killer ends a process as soon as it needs more."""
    v1, v2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    folder = (v1 if v1.is_dir() else v2) / f"stemworks-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")).write_text(str(_ROOM))
    except OSError:
        pytest.skip("no control group of the memory can be made: that is for root")
    yield lambda pid: (folder / "cgroup.procs").write_text(str(pid))
    folder.rmdir()


def process_of(run):
    """The process of a flow run, started by Prefect."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"PREFECT__FLOW_RUN_ID={run['id']}".encode() in environ.read_bytes().split(b"\0"):
                return int(environ.parent.name)
        except OSError:
            continue
    raise AssertionError("no such process")


def start_run(served):
    result = served.prefect("deployment", "run", "train-4stems", "--param", "params=mine.json")
    assert result.returncode == 0, result.stdout + result.stderr
    return served.wait_for_run("train mine", "Running")


def train(served):
    """Start a run; it, once it has written a checkpoint."""
    run = start_run(served)
    deadline = time.monotonic() + _PATIENCE_S
    while not any(kept_steps(folder) for folder in served.folder.glob("runs/*/checkpoints")):
        assert time.monotonic() < deadline, (served.folder / "serve.log").read_text()[-3000:]
        time.sleep(0.1)
    return run


def last_step(served):
    return max(step for folder in served.folder.glob("runs/*/checkpoints") for step in kept_steps(folder))


def shards(served):
    return {file: file.stat().st_mtime_ns for file in served.folder.rglob("*.tfrecord")}


def states(served):
    """What is not over well, by name."""
    runs = served.post("flow_runs/filter") + served.post("task_runs/filter")
    return sorted((run["name"], run["state_name"]) for run in runs if run["state_name"] != "Completed")


def test_a_training_that_the_out_of_memory_killer_ends_is_crashed_on_the_page_and_the_next_run_goes_on(
    served, little_memory
):
    run = start_run(served)
    little_memory(process_of(run))
    crashed = served.wait_for_run("train mine", "Crashed")
    assert "-9" in crashed["state"]["message"]
    before = shards(served)

    again = train(served)
    assert again["id"] != run["id"]
    # What the dead run was at is marked by the next start; the new one runs.
    over = {state for name, state in states(served) if name == "train mine"}
    assert over == {"Crashed", "Running"}
    assert [name for name, state in states(served) if state == "Running"] == ["train mine", "train-mine"]
    assert before.items() <= shards(served).items()


@pytest.mark.skipif(NUM_KILLS <= 2, reason="in make faults")
def test_after_a_kill_of_everything_the_next_start_marks_the_runs_as_crashed(served):
    run = train(served)
    served.kill_all()
    served.start()
    assert states(served) == [("train mine", "Crashed"), ("train-mine", "Crashed")]
    (crashed,) = [one for one in served.post("flow_runs/filter") if one["id"] == run["id"]]
    assert "Its process ended without reporting" in crashed["state"]["message"]
    # The slot of the killed training, which the killed server had given it, is free again before long.
    before = last_step(served)
    assert start_run(served)["id"] != run["id"]
    deadline = time.monotonic() + _PATIENCE_S
    while last_step(served) <= before:
        assert time.monotonic() < deadline, (served.folder / "serve.log").read_text()[-3000:]
        time.sleep(0.1)
