import math
import time

import mlflow
import pytest

from sepcore.training.metrics_log import MetricsRecord, append_record
from tasks.metrics_spool import MetricsSpool
from tasks.mlflow_names import mlflow_name
from tasks.mlflow_store import experiment_id, store_client, tracking_uri
from tasks.store_guard import StoreGuard
from tasks.system_metrics import SystemMetrics

WAIT_S = 60.0


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An MLflow store of its own, made once: its tables take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")
        yield mlflow.MlflowClient(tracking_uri())


@pytest.fixture
def run_id(store):
    return store.create_run(experiment_id(store, "spool")).info.run_id


def spool(run_id, folder, *, client=None, guard=None, **options):
    return MetricsSpool(
        (lambda: client) if client else store_client,
        run_id,
        log=folder / "metrics.jsonl",
        cursor=folder / "sent.json",
        guard=guard or StoreGuard("kept"),
        **options,
    )


def write(folder, kind, step, metrics, at=0.0):
    append_record(folder / "metrics.jsonl", MetricsRecord(kind, step, 1_700_000_000.0 + step + at, metrics))


def history(store, run_id, name="train_loss"):
    return [(metric.step, metric.value) for metric in store.get_metric_history(run_id, name)]


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class LostAnswers:
    """A client whose calls arrive while their answers get lost, as when a server is killed in between."""

    def __init__(self, client):
        self._client = client
        self.lost = 0

    def log_batch(self, run_id, metrics):
        self._client.log_batch(run_id, metrics=metrics)
        self.lost += 1
        raise ConnectionError("answer lost")


def test_records_are_sent_while_the_training_goes_on(store, run_id, tmp_path):
    sending = spool(run_id, tmp_path, every_s=0.05)
    sending.start()
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    wait_for(lambda: history(store, run_id) == [(5, 2.0)])
    write(tmp_path, "train", 10, {"train_loss": 1.0})
    wait_for(lambda: history(store, run_id) == [(5, 2.0), (10, 1.0)])
    assert sending.close() == 0


def test_records_have_the_time_at_which_they_were_measured(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    spool(run_id, tmp_path).close()
    assert store.get_metric_history(run_id, "train_loss")[0].timestamp == 1_700_000_005_000


def test_what_a_killed_process_left_is_sent_by_the_next_and_nothing_twice(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    spool(run_id, tmp_path).close()
    write(tmp_path, "train", 10, {"train_loss": 1.0})
    write(tmp_path, "validation", 10, {"validation_loss": 1.5})
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "train", "st')  # cut short by the kill
    spool(run_id, tmp_path).close()
    spool(run_id, tmp_path).close()
    assert history(store, run_id) == [(5, 2.0), (10, 1.0)]
    assert history(store, run_id, "validation_loss") == [(10, 1.5)]


def test_a_batch_that_arrived_before_the_kill_is_not_sent_again_with_new_times(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    client = LostAnswers(store_client())
    assert spool(run_id, tmp_path, client=client).close() == 1  # as far as it knows
    assert client.lost == 1
    (tmp_path / "metrics.jsonl").unlink()  # the training goes on from before, and measures again
    write(tmp_path, "train", 5, {"train_loss": 2.5}, at=60)
    write(tmp_path, "train", 10, {"train_loss": 1.0}, at=60)
    assert spool(run_id, tmp_path).close() == 0
    assert history(store, run_id) == [(5, 2.0), (10, 1.0)]


def test_a_batch_whose_answer_was_lost_is_there_once_after_another_try(store, run_id, tmp_path):
    client = LostAnswers(store_client())
    sending = spool(run_id, tmp_path, client=client, first_gap_s=0.05)
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sending.start()
    wait_for(lambda: client.lost >= 3)
    sending.close()
    assert history(store, run_id) == [(5, 2.0)]


def test_another_run_is_sent_everything(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    spool(run_id, tmp_path).close()
    other = store.create_run(experiment_id(store, "spool")).info.run_id
    spool(other, tmp_path).close()
    assert history(store, other) == [(5, 2.0)]


def test_more_metrics_than_mlflow_takes_in_a_call_are_all_sent(store, run_id, tmp_path):
    for step in range(700):
        write(tmp_path, "train", step, {"train_loss": float(step), "learning_rate": 0.1})
    assert spool(run_id, tmp_path).close() == 0
    assert [step for step, _ in history(store, run_id)] == list(range(700))


def test_values_that_are_not_finite_are_left_out(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": math.nan, "gradient_norm": math.inf})
    write(tmp_path, "train", 10, {"train_loss": 2.0, "gradient_norm": -math.inf})
    assert spool(run_id, tmp_path).close() == 0
    assert store.get_run(run_id).data.metrics == {"train_loss": 2.0}


def test_an_instrument_whose_name_mlflow_does_not_take_is_sent_all_the_same(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss_flûte+": 2.0})
    assert spool(run_id, tmp_path).close() == 0
    assert store.get_run(run_id).data.metrics == {mlflow_name("train_loss_flûte+"): 2.0}


def test_a_store_that_is_gone_is_told_once_and_ends_nothing(run_id, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sending = spool(run_id, tmp_path, guard=StoreGuard("kept in the log"), first_gap_s=0.05)
    sending.start()
    started = time.monotonic()
    time.sleep(0.5)  # time for several tries
    assert sending.close() == 1
    assert time.monotonic() - started < 10
    (told,) = [record.getMessage() for record in caplog.records if record.name.startswith("tasks")]
    assert told == "MLflow's store at http://127.0.0.1:9 failed (Connection refused); kept in the log"


def test_the_machine_is_measured_until_it_is_stopped(store, run_id):
    system = SystemMetrics(run_id, every_s=0.05)
    system.start()
    wait_for(lambda: any(name.startswith("system/") for name in store.get_run(run_id).data.metrics))
    system.stop()
    system.start()  # the sender may ask once more
    assert not system._monitor._process
