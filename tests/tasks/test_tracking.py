import mlflow
import pytest

from sepcore.training.run_folder import RunFolder
from tasks.tracking import run_folder_of, tracked, tracking_uri
from tests.models import small_config


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An MLflow store of its own, made once: its tables take seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        yield mlflow.MlflowClient(tracking_uri())


def test_a_run_folder_has_one_mlflow_run_however_often_it_is_gone_on_with(store, tmp_path):
    run = RunFolder(tmp_path / "mine-1")
    with tracked(run, "mine") as tracking:
        tracking.log_config(small_config(learning_rate=0.5), run_folder=str(run.path))
        tracking.log_metrics({"train_loss": 2.0}, step=1)
    with tracked(run, "mine") as again:
        again.log_config(small_config(learning_rate=0.5), run_folder=str(run.path))
        again.log_metrics({"train_loss": 1.0}, step=2)
    assert again.run_id == tracking.run_id
    stored = store.get_run(tracking.run_id)
    assert stored.info.status == "FINISHED"
    assert stored.data.params["learning_rate"] == "0.5"
    assert stored.data.params["model.type"] == "unet.unet"
    assert [(m.step, m.value) for m in store.get_metric_history(tracking.run_id, "train_loss")] == [(1, 2.0), (2, 1.0)]
    assert run_folder_of(tracking.run_id) == run.path


def test_the_store_and_its_artifacts_lie_in_the_working_directory(store, tmp_path):
    run = RunFolder(tmp_path / "mine-2")
    (tmp_path / "note.txt").write_text("kept")
    with tracked(run, "mine") as tracking:
        tracking.log_file(tmp_path / "note.txt")
    assert [artifact.path for artifact in store.list_artifacts(tracking.run_id)] == ["note.txt"]
    assert "/mlruns/" in store.get_run(tracking.run_id).info.artifact_uri


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_breaks_says_so_and_keeps_its_metrics(store, tmp_path, error, status):
    with pytest.raises(error), tracked(RunFolder(tmp_path / f"mine-{status}"), "mine") as tracking:  # noqa: PT012
        tracking.log_metrics({"train_loss": 2.0}, step=1)
        raise error
    stored = store.get_run(tracking.run_id)
    assert stored.info.status == status
    assert stored.data.metrics == {"train_loss": 2.0}


def test_an_unknown_run_id_leads_nowhere(store):
    assert run_folder_of("0" * 32) is None
