"""A training whose MLflow server is killed and comes back."""

import time
from pathlib import Path

import httpx
import mlflow
import pytest

from sepcore import Separator
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.training.metrics_log import MetricsRecord, append_record
from sepcore.training.run_folder import RunFolder
from tasks.dead_runs import _notes
from tasks.tracking import metrics, tracking_uri
from tasks.tracking import run as tracking_run
from tasks.tracking.run import tracked
from tests.models import small_config
from tests.tasks.mlflow_server import MlflowServer

pytestmark = pytest.mark.slow

PASSWORD = "0123-pass-4567"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    server = MlflowServer(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri.replace("://", f"://me:{PASSWORD}@"))
        try:
            yield server.start()
        finally:
            server.kill()
    kept = [file for place in (folder, _notes._folder) for file in place.rglob("*") if file.is_file()]
    assert len(kept) > 2
    assert [file for file in kept if PASSWORD.encode() in file.read_bytes()] == []


@pytest.fixture
def quick(monkeypatch):
    """The rates of the real thing, a hundred times as fast."""
    sender = metrics.MetricsSender
    monkeypatch.setattr(
        tracking_run, "MetricsSender", lambda *given, **named: sender(*given, **named, every_s=0.1, first_gap_s=0.2)
    )


def steps_in(uri, run_id, name="train_loss"):
    return [metric.step for metric in mlflow.MlflowClient(uri).get_metric_history(run_id, name)]


def wait_for(condition, limit_s=60.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def train_step(run, step):
    append_record(run.metrics, MetricsRecord("train", step, time.time(), {"train_loss": 1 / step}))


@pytest.mark.parametrize("host", ["example.org", "10.example.org", "127.0.0.1"])
def test_the_page_of_make_ui_answers_under_its_own_names_only(server, host):
    assert httpx.get(server.uri).headers["x-frame-options"] == "DENY"
    for path in ("/", "/ajax-api/2.0/mlflow/experiments/search"):
        assert httpx.get(server.uri + path, headers={"Host": host}).status_code == 403


@pytest.mark.parametrize("origin", ["https://example.org", "null", "http://127.0.0.1.example.org"])
def test_the_page_of_make_ui_takes_nothing_from_other_sites(server, origin):
    place = f"{server.uri}/ajax-api/2.0/mlflow/experiments/create"
    assert httpx.post(place, json={"name": "foreign"}, headers={"Origin": origin}).status_code == 403
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert httpx.options(place, headers=asked).status_code == 400
    assert "access-control-allow-origin" not in httpx.get(server.uri, headers={"Origin": origin}).headers
    assert mlflow.MlflowClient(server.uri).get_experiment_by_name("foreign") is None


def test_a_server_killed_in_a_training_and_started_again_has_every_record_once(server, quick, tmp_path, caplog):
    run = RunFolder(tmp_path / "mine-1")
    with tracked(run, "mine", training=True) as tracking:
        for step in range(1, 6):
            train_step(run, step)
        wait_for(lambda: len(steps_in(server.uri, tracking.run_id)) == 5)
        train_step(run, 6)
        server.kill()
        started = time.monotonic()
        for step in range(7, 20):
            train_step(run, step)
        tracking.tag("while", "away")
        assert time.monotonic() - started < 5
        wait_for(lambda: caplog.records)
        server.start()
        train_step(run, 20)
        wait_for(lambda: len(steps_in(server.uri, tracking.run_id)) == 20)
    assert steps_in(server.uri, tracking.run_id) == list(range(1, 21))
    assert mlflow.MlflowClient(server.uri).get_run(tracking.run_id).info.status == "FINISHED"
    failed, back, missed = (record.getMessage() for record in caplog.records)
    assert f"MLflow's store at {server.uri} failed" in failed
    assert f"kept in {run.metrics}" in failed
    assert "answers again" in back
    assert missed.endswith("tag while")


def test_a_server_that_stays_away_ends_no_training_and_the_next_command_sends_the_rest(server, quick, tmp_path, caplog):
    run = RunFolder(tmp_path / "mine-2")
    with tracked(run, "mine", training=True) as tracking:
        train_step(run, 1)
        wait_for(lambda: steps_in(server.uri, tracking.run_id) == [1])
        server.kill()
        train_step(run, 2)
        train_step(run, 3)
        tracking.log_file(run.metrics)
        ending = time.monotonic()
    assert time.monotonic() - ending < 20
    assert f"2 records of {run.metrics} (the next command on this run sends them)" in caplog.messages[-1]
    assert "metrics.jsonl, status FINISHED" in caplog.messages[-1]
    server.start()
    with tracked(run, "mine") as again:
        again.tag("release", "1.0")
    assert steps_in(server.uri, tracking.run_id) == [1, 2, 3]


def test_a_model_goes_to_the_servers_registry_and_comes_back(server, tmp_path):
    config = small_config()
    run = RunFolder(tmp_path / "mine-3")
    run.start(config)
    write_checkpoint(build_network(config), run.model, step=7)
    with tracked(run, "mine", training=True) as tracking:
        tracking.log_surroundings()
        tracking.register("group/mine", config, step=7)
    assert tracking.missed == []
    mlflow.set_tracking_uri(tracking_uri())
    folder = Path(mlflow.artifacts.download_artifacts("models:/group-mine@candidate", dst_path=str(tmp_path / "back")))
    assert Separator(folder / "artifacts").instruments == config.instruments
    assert (folder / "code" / "sepcore" / "separation" / "separator.py").is_file()
