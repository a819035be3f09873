import errno
import json
import os
import sys

import mlflow
import numpy as np
import pytest

from sepcore import Separator
from sepcore.errors import TrackingError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint
from sepcore.training.metrics_log import MetricsRecord, append_record
from sepcore.training.run_folder import RunFolder
from tasks.tracking import run as run_module
from tasks.tracking import tracking_uri
from tasks.tracking.registered_model import version_of
from tasks.tracking.run import is_all_sent, tracked
from tasks.tracking.store import run_folder_of
from tests.models import randomize, small_config
from tests.raised import raises


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An MLflow store of its own, made once: its tables take seconds."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(folder)
        yield mlflow.MlflowClient(tracking_uri())


def history(store, run_id, name):
    return [(metric.step, metric.value) for metric in store.get_metric_history(run_id, name)]


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
    assert history(store, tracking.run_id, "train_loss") == [(1, 2.0), (2, 1.0)]
    assert run_folder_of(tracking.run_id) == run.path


def test_keys_that_have_changed_since_are_in_a_tag_and_the_parameters_as_they_were(store, tmp_path):
    tags = []
    for mwf in (False, True, False):
        with tracked(RunFolder(tmp_path / "mine-changed"), "mine") as tracking:
            tracking.log_config(small_config(MWF=mwf))
        stored = store.get_run(tracking.run_id)
        assert stored.data.params["MWF"] == "False"
        tags.append(stored.data.tags.get("config_changed", ""))
    assert tags == ["", "MWF = True", ""]
    assert tracking.missed == []


def test_the_store_and_its_artifacts_lie_in_the_working_directory(store, tmp_path):
    run = RunFolder(tmp_path / "mine-2")
    (tmp_path / "note.txt").write_text("kept")
    with tracked(run, "mine") as tracking:
        tracking.log_file(tmp_path / "note.txt")
    assert [artifact.path for artifact in store.list_artifacts(tracking.run_id)] == ["note.txt"]
    assert "/mlruns/" in store.get_run(tracking.run_id).info.artifact_uri


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_breaks_says_so_and_keeps_its_metrics(store, tmp_path, error, status):
    run = RunFolder(tmp_path / f"mine-{status}")
    with pytest.raises(error), tracked(run, "mine") as tracking:  # noqa: PT012 -- a block that works, then breaks
        tracking.log_metrics({"train_loss": 2.0}, step=1)
        raise error
    stored = store.get_run(tracking.run_id)
    assert stored.info.status == status
    assert stored.data.metrics == {"train_loss": 2.0}


def test_a_damaged_log_does_not_hide_what_ended_a_training(store, tmp_path, caplog):
    run = RunFolder(tmp_path / "mine-damaged")
    with pytest.raises(EOFError), tracked(run, "mine", training=True) as tracking:  # noqa: PT012 -- a block that works, then breaks
        append_record(run.metrics, MetricsRecord("train", 1, 1.0, {"train_loss": 2.0}))
        run.metrics.write_bytes(b"damaged\n" + run.metrics.read_bytes())
        raise EOFError
    assert store.get_run(tracking.run_id).info.status == "FAILED"
    assert f"{run.metrics}: line 1 " in caplog.text


def test_what_is_added_to_a_broken_training_does_not_make_it_finished(store, tmp_path):
    run = RunFolder(tmp_path / "mine-broken")
    with pytest.raises(ValueError), tracked(run, "mine", training=True):  # noqa: PT011 -- raised two lines below
        raise ValueError
    with tracked(run, "mine") as tracking:
        tracking.tag("release", "1.0")
    assert store.get_run(tracking.run_id).info.status == "FAILED"


def test_an_unknown_run_id_leads_nowhere(store):
    assert run_folder_of("0" * 32) is None


def test_a_run_that_was_deleted_in_the_store_is_made_anew_with_all_its_records(store, tmp_path):
    run = RunFolder(tmp_path / "mine-deleted")
    with tracked(run, "mine", training=True) as deleted:
        append_record(run.metrics, MetricsRecord("train", 5, 1.0, {"train_loss": 3.0}))
    store.delete_run(deleted.run_id)
    with tracked(run, "mine") as tracking:
        pass
    assert tracking.run_id != deleted.run_id
    assert history(store, tracking.run_id, "train_loss") == [(5, 3.0)]


def test_a_training_that_goes_on_has_every_record_once(store, tmp_path):
    run = RunFolder(tmp_path / "mine-resumed")
    with tracked(run, "mine", training=True) as tracking:
        for step in (5, 10):
            append_record(run.metrics, MetricsRecord("train", step, float(step), {"train_loss": 100.0 / step}))
    with tracked(run, "mine", training=True):
        # Step 10 is behind the checkpoint: measured again, at another time.
        lines = run.metrics.read_text().splitlines(keepends=True)
        run.metrics.with_suffix(".new").write_text(lines[0])
        run.metrics.with_suffix(".new").replace(run.metrics)
        for step in (10, 15):
            append_record(run.metrics, MetricsRecord("train", step, 50.0 + step, {"train_loss": 100.0 / step}))
    assert history(store, tracking.run_id, "train_loss") == [(5, 20.0), (10, 10.0), (15, 100.0 / 15)]
    assert store.get_run(tracking.run_id).info.status == "FINISHED"


def test_a_training_shows_the_machine_the_code_and_its_config(store, tmp_path):
    run = RunFolder(tmp_path / "mine-facts")
    run.start(small_config())
    with tracked(run, "mine", training=True) as tracking:
        tracking.log_surroundings()
        assert store.get_run(tracking.run_id).info.status == "RUNNING"
    stored = store.get_run(tracking.run_id)
    assert "cores" in stored.data.tags["hardware"]
    assert "prefect.flow_run" not in stored.data.tags
    assert {"config.json", "requirements.lock"} <= {file.path for file in store.list_artifacts(tracking.run_id)}


def test_the_manifests_are_inputs_of_the_run_once(store, tmp_path):
    csv = tmp_path / "train.csv"
    csv.write_text("mix_path,vocals_path,duration\na.wav,b.wav,3\nc.wav,d.wav,4\n")
    run = RunFolder(tmp_path / "mine-inputs")
    for _ in range(2):
        with tracked(run, "mine") as tracking:
            tracking.log_dataset(csv, digest="0123456789abcdef", context="training")
    (given,) = store.get_run(tracking.run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("train", "0123456789abcdef")
    assert str(csv) in given.dataset.source
    assert json.loads(given.dataset.profile)["num_rows"] == 2
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_more_keys_than_mlflow_takes_in_a_call_are_all_written(store, tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_PARAMS", 7)
    with tracked(RunFolder(tmp_path / "mine-many"), "mine") as tracking:
        tracking.log_config(small_config())
    keys = {key.partition(".")[0] for key in store.get_run(tracking.run_id).data.params}
    assert keys >= {key for key, value in small_config().model_dump(by_alias=True).items() if value != {}}


@pytest.mark.filterwarnings("ignore:.*type hints:UserWarning")  # MLflow misses them in what is loaded
def test_the_model_loads_from_the_registry_and_separates_as_separator_does(store, tmp_path, capfd, monkeypatch):
    # MLflow names its store there, and puts the model's copy of this project in front of all that is imported later.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri())
    monkeypatch.setattr(sys, "path", [*sys.path])
    config = small_config()
    run = RunFolder(tmp_path / "mine-model")
    run.start(config)
    network = build_network(config)
    randomize(network)
    write_checkpoint(network, run.model, step=7)
    with tracked(run, "mine", training=True) as tracking:
        for again in (False, False, True):
            tracking.register("mine", config, step=7, unless_there=again)
    assert version_of(tracking.run_id, "mine", 7).version == 2
    assert version_of(tracking.run_id, "mine", 8) is None  # the run has gone on, and its weights are others
    assert "egister" not in "".join(capfd.readouterr())  # MLflow's own lines would run into the progress bar
    candidate = store.get_model_version_by_alias("mine", "candidate")
    assert (str(candidate.version), candidate.tags["run_folder"], candidate.run_id) == (
        "2",
        run.path.name,
        tracking.run_id,
    )

    loaded = mlflow.pyfunc.load_model("models:/mine@candidate")
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 2)).astype(np.float32)
    stems = loaded.predict(waveform)
    assert list(stems) == ["vocals", "accompaniment"]
    for instrument, expected in Separator(run.path).separate(waveform).items():
        assert stems[instrument].shape == waveform.shape
        assert np.isfinite(stems[instrument]).all()
        np.testing.assert_allclose(stems[instrument], expected, atol=1e-6)
    assert [spec.name for spec in loaded.metadata.signature.outputs] == list(stems)


@pytest.mark.parametrize(
    ("uri", "number", "hint"),
    [
        ("http://127.0.0.1:9", errno.ECONNREFUSED, "Start that server, or unset MLFLOW_TRACKING_URI"),
        ("sqlite:////proc/none/mlflow.db", errno.ENOENT, "Fix MLFLOW_TRACKING_URI"),
        ("nonsense://store", None, "Fix MLFLOW_TRACKING_URI"),
    ],
)
def test_a_training_is_refused_without_its_store_in_one_line(tmp_path, monkeypatch, uri, number, hint):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    reason = os.strerror(number) if number else ""
    with (
        raises(TrackingError, reason, path=uri, hint=hint) as refused,
        tracked(RunFolder(tmp_path / "r"), "mine", training=True),
    ):
        pytest.fail("work has begun")
    assert refused.value.errno == number
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "r").exists()


def test_what_the_store_does_not_take_is_told_and_the_rest_is_written(store, tmp_path, caplog):
    with tracked(RunFolder(tmp_path / "mine-refused"), "mine") as tracking:
        tracking.log_file(tmp_path / "none.txt")
        tracking.tag("kept", "yes")
    assert store.get_run(tracking.run_id).data.tags["kept"] == "yes"
    assert store.get_run(tracking.run_id).info.status == "FINISHED"
    first, last = caplog.messages
    assert "does not take none.txt: " in first
    assert last.endswith(": none.txt")


def test_the_store_says_whether_it_has_all_of_a_training(store, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "mine-missed")
    assert is_all_sent(run, 5)  # there is no run in the store
    with tracked(run, "mine", training=True) as tracking:
        tracking.log_file(tmp_path / "none.txt")
    tracking.note_all_sent(5)
    assert not is_all_sent(run, 5)
    with tracked(run, "mine") as later:
        later.tag("release", "1.0")
    assert not is_all_sent(run, 5)
    with tracked(run, "mine", training=True) as again:
        pass
    again.note_all_sent(5)
    assert is_all_sent(run, 5)
    assert not is_all_sent(run, 10)  # the training has gone on since
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert not is_all_sent(run, 5)


def test_a_run_of_another_store_stays_there(store, tmp_path, monkeypatch):
    run = RunFolder(tmp_path / "mine-elsewhere")
    with tracked(run, "mine", training=True) as tracking:
        pass
    tracking.note_all_sent(5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    assert is_all_sent(run, 5)
    assert (run.path / "mlflow_run_id").read_text() == tracking.run_id


def test_what_is_added_later_without_the_store_is_a_warning(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with tracked(RunFolder(tmp_path / "r"), "mine") as tracking:
        tracking.tag("release", "1.0")
        tracking.log_metrics({"test_SDR_vocals": 5.0})
    first, last = (record.getMessage() for record in caplog.records if record.name.startswith("tasks"))
    assert "Connection refused" in first
    assert last == "not sent to MLflow's store at http://127.0.0.1:9: tag release, metrics"


def test_the_page_of_a_run_is_on_the_tracking_server_or_where_make_ui_shows_it(store, tmp_path):
    with tracked(RunFolder(tmp_path / "mine-page"), "mine") as tracking:
        pass
    experiment = store.get_run(tracking.run_id).info.experiment_id
    assert tracking.url() == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{tracking.run_id}"
