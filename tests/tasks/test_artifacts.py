"""A training's artifacts in Prefect, on a real server."""

import time
import warnings
from uuid import UUID

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from tasks.artifacts import ProgressArtifact, show_link, step_note
from tasks.tracking.run_facts import flow_run_tags


def test_outside_a_flow_nothing_is_told_and_no_thread_started():
    with ProgressArtifact("mine") as artifact:
        artifact(5, 10, "half")
    assert artifact._thread is None


@pytest.fixture(scope="module")
def server():
    """A real server, as a process, on a database of its own."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


def wait_for(condition, limit_s=30.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@task
def training(page):
    show_link("training Mine 4stems mlflow", page, "MLflow run", "Mine 4stems")
    with ProgressArtifact("training Mine 4stems", every_s=0.05) as artifact:
        artifact(5, 10, step_note(5, 10, {"train_loss": 1.25, "learning_rate": 0.1}))
        wait_for(lambda: artifact._told == (50, "step 5 of 10: train_loss 1.25"))
        artifact(10, 10, step_note(10, 10, {"train_loss": 1.0}))


@pytest.mark.slow
def test_a_training_in_a_flow_shows_its_progress_and_its_mlflow_page(server):
    @flow
    def train():
        training("http://127.0.0.1:5000/#/run")
        return flow_run_tags()

    tags = train()
    with get_client(sync_client=True) as client:
        found = {artifact.key: artifact for artifact in client.read_artifacts()}
        flow_run = client.read_flow_run(UUID(tags["prefect.flow_run"]))
    progress, link = found["training-mine-4stems"], found["training-mine-4stems-mlflow"]
    assert progress.data == 100
    assert progress.description == "step 10 of 10: train_loss 1"
    assert link.data == "[MLflow run](http://127.0.0.1:5000/#/run)"
    assert progress.flow_run_id == link.flow_run_id == flow_run.id
    assert progress.task_run_id is not None


@pytest.mark.slow
def test_the_page_of_the_flow_run_is_told_where_prefects_ui_is_known(server):
    @flow
    def train():
        with temporary_settings({PREFECT_UI_URL: "http://127.0.0.1:4200"}):
            return flow_run_tags()

    tags = train()
    assert tags["prefect.flow_run_url"] == f"http://127.0.0.1:4200/runs/flow-run/{tags['prefect.flow_run']}"


def test_an_api_that_is_gone_is_told_once_and_the_training_goes_on(monkeypatch, caplog):
    # As in a process that Prefect has started for a flow run.
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "0b6b3c1e-0000-4000-8000-000000000000")
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        warnings.catch_warnings(),
        ProgressArtifact("mine", every_s=0.05) as artifact,
    ):
        warnings.filterwarnings("ignore", message="Artifact creation outside of a flow", category=FutureWarning)
        for done in range(10):
            artifact(done, 10, "")
        wait_for(lambda: artifact._warned)
        artifact(10, 10, "")
    (told,) = [record.getMessage() for record in caplog.records if record.name == "tasks.artifacts"]
    assert "Prefect's API failed" in told
