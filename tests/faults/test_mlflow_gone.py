"""MLflow's server killed under a whole pipeline."""

import json
from dataclasses import replace

import mlflow
import pytest

from sepcore.training.metrics_log import read_records
from sepcore.training.run_folder import RunFolder
from tests.faults.conftest import CONFIG
from tests.faults.workplace import LONG, Job, ended, said, wait_until
from tests.tasks.mlflow_server import MlflowServer

pytestmark = [pytest.mark.slow, LONG]

TRAIN = Job(("flows.train", "-p", "train.json"), ("runs",))
PUBLISH = Job(("flows.publish", "--version", "1.0.0", "--force"), ("releases",))
NUM_STEPS = 12


@pytest.fixture
def server(tmp_path):
    (tmp_path / "mlflow").mkdir()
    server = MlflowServer(tmp_path / "mlflow")
    try:
        yield server.start()
    finally:
        server.kill()


def test_a_pipeline_whose_mlflow_server_is_killed_ends_well_and_the_next_command_sends_the_rest(server, workplace):
    keys = {"train_max_steps": NUM_STEPS, "save_summary_steps": 1, "test_csv": "validation.csv"}
    (workplace.folder / "train.json").write_text(json.dumps(CONFIG | keys))
    workplace = replace(workplace, environment=workplace.environment | {"MLFLOW_TRACKING_URI": server.uri})
    process = workplace.start(TRAIN)
    wait_until(lambda: any(map(read_records, workplace.folder.glob("runs/*/metrics.jsonl"))), process)
    server.kill()
    result = ended(process)
    assert result.returncode == 0, result.stderr
    assert all(server.uri in line for line in said(result.stderr)), result.stderr
    (run,) = (RunFolder(path) for path in workplace.folder.glob("runs/*"))
    assert run.finished().steps == NUM_STEPS
    assert run.scores.is_file()

    server.start()
    before = {path: path.stat().st_mtime_ns for path in run.model.rglob("*")}
    workplace.finish(TRAIN)
    assert {path: path.stat().st_mtime_ns for path in run.model.rglob("*")} == before
    client, run_id = mlflow.MlflowClient(server.uri), run.finished().mlflow_run_id
    assert client.get_model_version_by_alias("train", "candidate").run_id == run_id
    assert {"model", "evaluation"} <= {file.path for file in client.list_artifacts(run_id)}
    again = workplace.run(TRAIN)
    assert (again.returncode, said(again.stderr)) == (0, [])
    assert len(client.search_model_versions("name='train'")) == 1
    published = workplace.run(PUBLISH, str(run.path))
    assert published.returncode == 0, published.stderr
    steps = [metric.step for metric in client.get_metric_history(run_id, "train_loss")]
    assert steps == list(range(1, NUM_STEPS + 1))
    assert client.get_run(run_id).info.status == "FINISHED"
    champion = client.get_model_version_by_alias("train", "champion")
    assert (champion.run_id, champion.tags["release"]) == (run_id, "1.0.0")
