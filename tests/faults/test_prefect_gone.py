"""Prefect's server killed under a command: what it does is kept, whether the server comes back or not."""

import json
from dataclasses import replace

import pytest

from sepcore.training.metrics_log import read_records
from sepcore.training.run_folder import RunFolder
from tests.faults.conftest import CONFIG
from tests.faults.workplace import CACHE, Job, ended, resume, said, suspend, thoroughly, wait_until

pytestmark = pytest.mark.slow

TRAIN = Job(("flows.train", "-p", "train.json"), ("runs",))
NUM_STEPS = 12
# Prefect asks six times, for a minute, before it gives up.
IMPATIENT = {"PREFECT_CLIENT_MAX_RETRIES": "1", "PREFECT_CLIENT_RETRY_JITTER_FACTOR": "0"}


@pytest.fixture
def server(prefect_server):
    """The server of all commands, which is there again after the test."""
    yield prefect_server
    prefect_server.start()


@pytest.fixture
def workplace(workplace):
    keys = {"train_max_steps": NUM_STEPS, "save_checkpoints_steps": 6, "save_summary_steps": 1}
    (workplace.folder / "train.json").write_text(json.dumps(CONFIG | keys))
    return workplace


def run_of(workplace):
    return RunFolder(next(iter(workplace.folder.glob("runs/*")), workplace.folder / "none yet"))


def has_begun(job, workplace):
    """Whether a job is in the middle of its work: after the first step, or the first shard."""
    if job is TRAIN:
        return bool(read_records(run_of(workplace).metrics))
    return bool(list(workplace.folder.glob("training_cache/[!.]*")))


def lose(server, job, workplace):
    """Start a job and kill the server in the middle of its work."""
    process = workplace.start(job)
    wait_until(lambda: has_begun(job, workplace), process)
    suspend(process)
    server.kill()
    return process


def made(job, workplace):
    """When what takes long was made; an index is written at the end of each cache."""
    files = workplace.files(job).items()
    return {name: path.stat().st_mtime_ns for name, path in files if "index" not in path.name}


@pytest.mark.parametrize("job", thoroughly(CACHE, TRAIN), ids=lambda job: job.arguments[0])
def test_a_command_whose_prefect_server_is_killed_and_started_again_ends_well(job, server, workplace, uninterrupted):
    expected = uninterrupted(CACHE).contents
    process = lose(server, job, workplace)
    resume(process)
    server.start()
    result = ended(process)
    assert result.returncode == 0, result.stderr
    assert [line for line in said(result.stderr) if "tasks.artifacts" not in line] == []
    assert server.flow_runs()[job.arguments[0].removeprefix("flows.")] == "COMPLETED"
    if job is TRAIN:
        assert run_of(workplace).finished().steps == NUM_STEPS
    assert workplace.contents(CACHE) == expected


@pytest.mark.parametrize("job", thoroughly(CACHE, TRAIN), ids=lambda job: job.arguments[0])
def test_a_command_whose_prefect_server_stays_away_ends_in_one_line_and_the_next_one_finds_its_work_done(
    job, server, workplace, uninterrupted
):
    expected = uninterrupted(CACHE).contents
    workplace = replace(workplace, environment=workplace.environment | IMPATIENT)
    process = lose(server, job, workplace)
    resume(process)
    result = ended(process)
    assert result.returncode == 2
    (line,) = (line for line in said(result.stderr) if "tasks.artifacts" not in line)
    assert server.url in line
    assert "was kept" in line
    assert workplace.leftovers() == []
    assert workplace.contents(CACHE) == expected
    before = made(job, workplace)

    server.start()
    workplace.finish(job)
    assert made(job, workplace) == before
    if job is TRAIN:
        assert run_of(workplace).finished().steps == NUM_STEPS
