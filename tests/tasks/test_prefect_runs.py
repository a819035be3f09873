"""Prefect's server and what it is built on, as installed: pyproject's pin of fastapi guards what is tested here."""

from collections.abc import Iterator

import pytest
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.testing.utilities import prefect_test_harness

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """A real server, as a process, on a database of its own."""
    with prefect_test_harness(server_startup_timeout=120):
        yield


@task
def double(number):
    return 2 * number


@flow
def one_task(number):
    return double(number)


def test_a_flow_of_one_task_runs_and_the_server_knows_of_both():
    assert one_task(21) == 42
    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs()
        (task_run,) = client.read_task_runs()
    assert flow_run.state.is_completed()
    assert task_run.flow_run_id == flow_run.id


def test_limit_sort_and_offset_may_be_null():
    # With fastapi 0.151 and later the server answers 422, and `prefect deployment ls` and `prefect deploy` die.
    with get_client(sync_client=True) as client:
        assert client.read_deployments() == []
        for listed in ("deployments", "flows"):
            answer = client._client.post(f"/{listed}/filter", json={"limit": None, "sort": None, "offset": 0})
            assert answer.status_code == 200, answer.text
