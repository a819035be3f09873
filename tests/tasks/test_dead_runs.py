"""Runs of killed processes, marked by the next flow that starts: on a real Prefect server and a real MLflow store."""

import os
import subprocess
import sys
import time

import mlflow
import pytest
from prefect import flow, get_client
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness

from tasks.dead_runs import note_run

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from prefect import flow, task
from tasks.dead_runs import note_run, note_tracked_run

@task(task_run_name="eats memory")
def eat():
    print("started", flush=True)
    sys.stdin.read()

@flow(flow_run_name="inner", on_running=[note_run])
def inner():
    eat()

@flow(flow_run_name="ended", on_running=[note_run])
def ended():
    pass

@flow(flow_run_name="outer", on_running=[note_run])
def outer():
    ended()
    if sys.argv[1:]:
        note_tracked_run(*sys.argv[1:])
    inner()

outer()
"""


@pytest.fixture(scope="module")
def server():
    with prefect_test_harness(server_startup_timeout=120):
        yield get_current_settings()


@pytest.fixture
def start(server, tmp_path):
    """Starts a process with a flow in a flow that waits in the middle of a task."""
    started = []

    def process(*arguments):
        # HOME too: notes stand in Prefect's, which is below it.
        variables = os.environ | server.to_environment_variables(exclude_unset=True)
        variables |= {"PREFECT_API_URL": server.api.url, "PREFECT_LOGGING_LEVEL": "CRITICAL"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], env=variables, **pipes))
        assert started[-1].stdout.readline() == "started\n"
        return started[-1]

    yield process
    for one in started:
        one.communicate()


def states(client):
    runs = [*client.read_flow_runs(), *client.read_task_runs()]
    return sorted((run.name, run.state_name, run.state.message or "") for run in runs)


@flow(on_running=[note_run])
def next_one():
    return 1


def test_the_next_start_marks_a_killed_process_runs_and_leaves_the_others(start, tmp_path, monkeypatch):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    tracking = mlflow.MlflowClient(store)
    run_id = tracking.create_run("0").info.run_id
    doomed, living = start(store, run_id), start()
    with get_client(sync_client=True) as client:
        # What tasks are at is sent to the server from behind.
        while [name for name, state, _ in states(client) if state == "Running"].count("eats memory") < 2:
            assert doomed.poll() is living.poll() is None
            time.sleep(0.1)
        doomed.kill()  # as the kernel does to a process that eats all memory
        doomed.wait()
        assert next_one() == 1
        after = states(client)
    told = [(name, state) for name, state, message in after if "Its process ended" in message]
    # The run of `inner` is also a task run of `outer`, called inner-0.
    assert told == [(name, "Crashed") for name in ("eats memory", "inner", "inner-0", "outer")]
    running = [name for name, state, _ in after if state == "Running"]
    assert running == ["eats memory", "inner", "inner-0", "outer"]
    assert [state for name, state, _ in after if name == "ended"] == ["Completed", "Completed"]
    assert tracking.get_run(run_id).info.status == "KILLED"
    living.communicate("")
    assert living.returncode == 0
