"""Deployments as their user meets them: `flows.serve`, Prefect's own command line, its server and its page."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.flows.served import Served
from tests.flows.test_commands import lacking
from tests.page.browser import chromium  # noqa: F401 -- a fixture

pytestmark = pytest.mark.slow

NAMES = {
    "train/train-2stems",
    "train/train-4stems",
    "train/train-5stems",
    "prepare-musdb/prepare-musdb",
    "evaluate/evaluate",
    "separate-batch/separate-batch",
    "publish/publish",
}


@pytest.fixture(scope="module")
def serving(small_dataset, environment, tmp_path_factory):
    """What is served where a small dataset lies, with the config ``mine.json``: one step of a small network."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(small_dataset, folder, dirs_exist_ok=True)
    csvs = {"train_csv": str(folder / "train.csv"), "validation_csv": str(folder / "validation.csv")}
    content = json.loads((folder / "config.json").read_text()) | csvs
    content |= {"test_csv": csvs["validation_csv"], "train_max_steps": 2, "batch_size": 2}
    (folder / "mine.json").write_text(json.dumps(content))
    made = Served(folder, environment)
    yield made
    made.kill_all()


@pytest.fixture
def served(serving):
    """The same, started unless it runs: one test ends it."""
    if serving.process is None or serving.process.poll() is not None:
        serving.lines = serving.start()
    return serving


def log_in(page, served):
    page.goto(served.api.removesuffix("/api"))
    field = page.get_by_placeholder("admin:pass")
    field.fill(served.exported["PREFECT_API_AUTH_STRING"], timeout=60_000)
    field.press("Enter")
    page.get_by_text("Dashboard").first.wait_for(timeout=60_000)


def test_it_says_where_its_page_is_and_what_other_shells_need(served):
    assert served.lines[0].startswith("serving train-2stems, train-4stems, train-5stems, prepare-musdb, evaluate,")
    assert served.exported["PREFECT_API_URL"] == served.api
    assert f"Prefect's page: {served.api.removesuffix('/api')}" in served.lines
    flows = {flow["id"]: flow["name"] for flow in served.post("flows/filter")}
    found = served.post("deployments/filter")
    there = {f"{flows[one['flow_id']]}/{one['name']}" for one in found}
    assert there - {"other/train-2stems"} == NAMES  # that one is another test's


def test_the_bare_name_runs_the_pipeline_to_its_end_and_the_page_shows_it(served, chromium, tmp_path):  # noqa: F811 -- the fixture
    given = ["--param", "params=mine.json", "--param", "version=1.0.0"]
    result = served.prefect("deployment", "run", "train-4stems", *given, "--watch")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Creating flow run for deployment 'train/train-4stems'" in result.stdout
    runs = served.flow_runs()
    run = runs["train mine for 1.0.0"]
    assert run["state_name"] == "Completed"
    assert sorted(run["tags"]) == ["stemworks", "training"]
    assert runs["cache mine"]["state_name"] == "Completed"
    (folder,) = (served.folder / "runs").iterdir()
    assert runs[f"evaluate {folder.name} on validation.csv"]["state_name"] == "Completed"

    artifacts = {one["key"]: one for one in served.post("artifacts/filter")}
    for key in ("check-train-csv", "cache-training", "training-mine", f"evaluate-{folder.name}"):
        assert (key, artifacts[key]["data"]) == (key, 100)
    assert artifacts["cache-training"]["description"] == "5 of 5 songs"
    assert [row["stem"] for row in json.loads(artifacts[f"scores-{folder.name}"]["data"])] == [
        "vocals",
        "drums",
        "bass",
        "other",
    ]
    summary = artifacts["summary-mine"]["data"]
    assert "trained 2 steps on 5 songs" in summary
    assert "[MLflow run](http://127.0.0.1:5000/#/experiments/" in summary
    assert str(folder / "evaluation" / "report.html") in summary
    assert str(served.folder / "releases" / "1.0.0" / "mine.tar.gz") in summary

    page = chromium.new_page()
    log_in(page, served)
    page.goto(f"{served.api.removesuffix('/api')}/runs/flow-run/{run['id']}")
    page.get_by_text("Subflow Runs", exact=True).first.click(timeout=60_000)
    page.get_by_text(f"evaluate {folder.name} on validation.csv").first.wait_for(timeout=30_000)
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("summary-mine").first.wait_for(timeout=30_000)
    page.close()


STRANGERS = {
    "another site's page": {"Origin": "https://example.org"},
    "another page of this machine": {"Origin": "http://127.0.0.1:8888"},
    "a page of no origin": {"Origin": "null"},
    "a name that was led here": {"Host": "example.org:{port}"},
    "a name like an allowed one": {"Host": "127.0.0.1.example.org:{port}"},
    "another port": {"Host": "127.0.0.1:80"},
}


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("path", ["/", "/api/health", "/api/version", "/api/flows/filter"])
def test_what_comes_from_strangers_is_refused_with_the_credential_too(served, stranger, path):
    headers = {name: value.format(port=urlsplit(served.api).port) for name, value in STRANGERS[stranger].items()}
    place = served.api.removesuffix("/api") + path
    for method in ("GET", "POST", "OPTIONS"):
        asked = {"Access-Control-Request-Method": "POST"} if method == "OPTIONS" else {}
        answer = httpx.request(method, place, headers=headers | asked, auth=served.auth)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("auth", [None, ("stemworks", "wrong"), ("", "")])
def test_without_the_credential_nothing_of_the_api_is_answered(served, auth):
    own = served.api.removesuffix("/api")
    for method, path in (("POST", "/flows/filter"), ("GET", "/version"), ("POST", "/deployments/"), ("GET", "/docs")):
        answer = httpx.request(method, served.api + path, json={} if method == "POST" else None, auth=auth)
        assert answer.status_code == 401
    assert httpx.options(f"{served.api}/flows/filter", headers={"Origin": own}, auth=auth).status_code == 401
    assert httpx.get(f"{served.api}/health").json() is True
    assert httpx.get(own, headers={"Origin": own}).headers["x-frame-options"] == "SAMEORIGIN"


SOCKETS = ["events/in", "events/out", "logs/out", "task_runs/subscriptions/scheduled", "work_pools/x/workers/connect"]


@pytest.mark.parametrize("path", SOCKETS)
def test_no_socket_opens_to_strangers_or_without_the_credential(served, path):
    place = f"{served.api.replace('http', 'ws', 1)}/{path}"
    port = urlsplit(served.api).port
    for there, origin in ((place, "https://example.org"), (place.replace("127.0.0.1", "example.org"), None)):
        led_here = socket.create_connection(("127.0.0.1", port))
        with pytest.raises(InvalidStatus, match="403"), connect(there, sock=led_here, origin=origin):
            pass
    for token in (None, "wrong"):
        with connect(place, subprotocols=["prefect"], proxy=None) as opened:
            opened.send(json.dumps({"type": "auth", "token": token}))
            with pytest.raises(ConnectionClosedError):
                opened.recv(timeout=30)
    with pytest.raises(InvalidStatus), connect(place, proxy=None):
        pass


def test_a_command_without_the_credential_says_what_is_missing(served):

    def assert_says_so(result, code):
        (line,) = result.stderr.splitlines()
        assert not lacking(line, (served.api, "export PREFECT_API_AUTH_STRING", "python -m flows.serve")), line
        assert result.returncode == code

    for command in (("deployment", "run", "train-4stems"), ("deployment", "ls"), ("worker", "start", "--pool", "x")):
        for credential in ("", "stemworks:wrong"):
            result = served.prefect(*command, PREFECT_API_AUTH_STRING=credential)
            assert_says_so(result, 1)
    command = [sys.executable, "-m", "flows.serve"]
    variables = served.environment | {"PREFECT_API_URL": served.api, "PREFECT_API_AUTH_STRING": "stemworks:wrong"}
    result = subprocess.run(command, cwd=served.folder, env=variables, capture_output=True, text=True, check=False)
    assert_says_so(result, 2)


def test_without_songs_a_run_fails_before_any_work_and_says_what_to_set(served):
    result = served.prefect("deployment", "run", "train/train-5stems", "--watch")
    assert result.returncode == 1
    run = served.flow_runs()["train 5stems"]
    assert not lacking(run["state"]["message"], ("MUSDB_PATH", "flows.serve", "--param musdb_root=DIR"))
    # Before any work: 0.2 s after its start.
    assert served.post("task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}}) == []


def test_an_unknown_name_and_one_of_two_flows_get_a_line_with_the_names_there_are(served):
    result = served.prefect("deployment", "run", "train-3stems")
    assert result.returncode == 1
    last_line = result.stderr.splitlines()[-1]
    assert not lacking(last_line, "train-3stems evaluate/evaluate train/train-4stems"), last_line
    assert "Traceback" not in result.stderr
    other = served.post("flows/", name="other")["id"]
    served.post("deployments/", name="train-2stems", flow_id=other)
    result = served.prefect("deployment", "run", "train-2stems")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert not lacking(line, "train-2stems 2 other/train-2stems train/train-2stems"), line
    assert "evaluate" not in line


@pytest.mark.parametrize(("name", "parameter"), [("train-4stems", "max_steps=0"), ("evaluate", "engine=slow")])
def test_a_wrong_parameter_is_refused_before_there_is_a_run(served, name, parameter):
    before = len(served.post("flow_runs/filter"))
    result = served.prefect("deployment", "run", name, "--param", parameter)
    assert result.returncode == 1
    assert parameter.partition("=")[2] in result.stdout + result.stderr
    assert len(served.post("flow_runs/filter")) == before


def test_a_schedule_fires(served):
    (deployment,) = [one for one in served.post("deployments/filter") if one["name"] == "evaluate"]
    schedule = {"schedule": {"interval": 3600}, "active": True}
    (made,) = served.request("POST", f"deployments/{deployment['id']}/schedules", [schedule]).json()
    deadline = time.monotonic() + 60
    while not (runs := [run for run in served.post("flow_runs/filter") if run["auto_scheduled"]]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert {run["deployment_id"] for run in runs} == {deployment["id"]}
    served.request("DELETE", f"deployments/{deployment['id']}/schedules/{made['id']}")


def test_a_second_one_uses_the_server_that_is_there_and_leaves_it_running(served):
    second = Served(served.folder, served.environment)
    second.api, second._port = served.api, served._port
    assert f"export PREFECT_API_URL={served.api}" in second.start(in_background=True)
    assert second.exported == served.exported
    assert second.end(signal.SIGTERM) == 130
    assert httpx.get(f"{served.api}/health").json() is True


def test_started_again_it_has_the_same_credential(served):
    before = served.exported
    served.kill_all()
    served.lines = served.start()
    assert served.exported == before


def test_ctrl_c_ends_it_and_its_server(served):
    assert served.end() == 130
    log = (served.folder / "serve.log").read_text()
    assert log.splitlines()[-1].lower().startswith("interrupted")
    assert "Exception in callback" not in log
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{served.api}/health")
    for name in ("train-4stems", "train/train-4stems"):
        result = served.prefect("deployment", "run", name)
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert not lacking(line, (served.api, "python -m flows.serve")), line


def test_a_port_that_another_program_has_is_one_line(tmp_path, environment):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "flows.serve", "--port", str(port)]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    facts = f"port {port}", f"--port {port + 1}", f"export PREFECT_API_URL=http://127.0.0.1:{port}/api"
    assert not lacking(line, facts), line


def test_a_server_elsewhere_that_does_not_answer_is_one_line(tmp_path, environment):
    command = [sys.executable, "-m", "flows.serve"]
    variables = environment | {"PREFECT_API_URL": "http://127.0.0.2:9/api"}
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    facts = "http://127.0.0.2:9/api", "prefect server start", "PREFECT_API_URL"
    assert not lacking(result.stderr, facts), result.stderr
    assert result.stderr.count("\n") == 1
