import math
import time

import mlflow
import pytest
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from sepcore.training.metrics_log import MetricsRecord, append_record
from tasks.tracking import tracking_uri
from tasks.tracking.metrics import MetricsSender, SystemMetrics, mlflow_name
from tasks.tracking.store import StoreGuard, experiment_id, store_client

WAIT_S = 60.0


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An MLflow store of its own, made once: its tables take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}")
        yield mlflow.MlflowClient(tracking_uri())


@pytest.fixture
def run_id(store):
    return store.create_run(experiment_id(store, "sender")).info.run_id


def sender(run_id, folder, *, client=None, guard=None, **options):
    given = {"client": lambda: client} if client else {}
    return MetricsSender(run_id, folder / "metrics.jsonl", guard or StoreGuard("kept"), **given, **options)


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

    def get_run(self, run_id):
        return self._client.get_run(run_id)

    def log_batch(self, run_id, metrics):
        self._client.log_batch(run_id, metrics=metrics)
        self.lost += 1
        raise ConnectionError("answer lost")


def test_records_are_sent_while_the_training_goes_on(store, run_id, tmp_path):
    sending = sender(run_id, tmp_path, every_s=0.05)
    sending.start()
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    wait_for(lambda: history(store, run_id) == [(5, 2.0)])
    write(tmp_path, "train", 10, {"train_loss": 1.0})
    wait_for(lambda: history(store, run_id) == [(5, 2.0), (10, 1.0)])
    assert sending.close() == 0


def test_records_have_the_time_at_which_they_were_measured(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sender(run_id, tmp_path).close()
    assert store.get_metric_history(run_id, "train_loss")[0].timestamp == 1_700_000_005_000


def test_what_a_killed_process_left_is_sent_by_the_next_and_nothing_twice(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sender(run_id, tmp_path).close()
    write(tmp_path, "train", 10, {"train_loss": 1.0})
    write(tmp_path, "validation", 10, {"validation_loss": 1.5})
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "train", "st')  # cut short by the kill
    sender(run_id, tmp_path).close()
    sender(run_id, tmp_path).close()
    assert history(store, run_id) == [(5, 2.0), (10, 1.0)]
    assert history(store, run_id, "validation_loss") == [(10, 1.5)]


def test_a_record_that_arrived_before_the_kill_is_not_sent_again_with_a_new_time(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    client = LostAnswers(store_client())
    assert sender(run_id, tmp_path, client=client).close() == 1  # as far as it knows
    assert client.lost == 1
    (tmp_path / "metrics.jsonl").unlink()  # the training goes on from before, and measures again
    write(tmp_path, "train", 5, {"train_loss": 2.5}, at=60)
    write(tmp_path, "train", 10, {"train_loss": 1.0}, at=60)
    assert sender(run_id, tmp_path).close() == 0
    assert history(store, run_id) == [(5, 2.0), (10, 1.0)]


def test_a_batch_whose_answer_was_lost_is_there_once_after_another_try(store, run_id, tmp_path):
    client = LostAnswers(store_client())
    sending = sender(run_id, tmp_path, client=client, first_gap_s=0.05, every_s=0.05)
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sending.start()
    wait_for(lambda: client.lost == 1)
    write(tmp_path, "train", 10, {"train_loss": 1.0})
    wait_for(lambda: client.lost == 2)
    sending.close()
    assert client.lost == 2
    assert history(store, run_id) == [(5, 2.0), (10, 1.0)]


def test_the_log_of_another_kind_that_is_behind_is_sent(store, run_id, tmp_path):
    write(tmp_path, "train", 10, {"train_loss": 2.0, "learning_rate": 0.1})
    assert sender(run_id, tmp_path).close() == 0
    write(tmp_path, "validation", 10, {"validation_loss": 1.5})
    assert sender(run_id, tmp_path).close() == 0
    assert history(store, run_id, "validation_loss") == [(10, 1.5)]


def test_two_processes_that_send_the_same_log_send_nothing_twice(store, run_id, tmp_path):
    for step in range(1, 50):
        write(tmp_path, "train", step, {"train_loss": float(step)})
    both = [sender(run_id, tmp_path), sender(run_id, tmp_path)]
    for one in both:
        one.start()
    assert [one.close() for one in both] == [0, 0]
    assert [step for step, _ in history(store, run_id)] == list(range(1, 50))


def test_another_run_is_sent_everything(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sender(run_id, tmp_path).close()
    other = store.create_run(experiment_id(store, "sender")).info.run_id
    sender(other, tmp_path).close()
    assert history(store, other) == [(5, 2.0)]


def test_more_metrics_than_mlflow_takes_in_a_call_are_all_sent(store, run_id, tmp_path):
    for step in range(700):
        write(tmp_path, "train", step, {"train_loss": float(step), "learning_rate": 0.1})
    assert sender(run_id, tmp_path).close() == 0
    assert [step for step, _ in history(store, run_id)] == list(range(700))


def test_values_that_are_not_finite_are_left_out(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss": math.nan, "gradient_norm": math.inf})
    write(tmp_path, "train", 10, {"train_loss": 2.0, "gradient_norm": -math.inf})
    assert sender(run_id, tmp_path).close() == 0
    assert store.get_run(run_id).data.metrics == {"train_loss": 2.0}


def test_an_instrument_whose_name_mlflow_does_not_take_is_sent_all_the_same(store, run_id, tmp_path):
    write(tmp_path, "train", 5, {"train_loss_flûte+": 2.0})
    assert sender(run_id, tmp_path).close() == 0
    assert store.get_run(run_id).data.metrics == {mlflow_name("train_loss_flûte+"): 2.0}


def test_a_store_that_is_gone_is_told_once_and_ends_nothing(run_id, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    write(tmp_path, "train", 5, {"train_loss": 2.0})
    sending = sender(run_id, tmp_path, guard=StoreGuard("kept in the log"), first_gap_s=0.05)
    sending.start()
    started = time.monotonic()
    time.sleep(0.5)  # time for several tries
    assert sending.close() is None  # it never said what it has
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


ODD = [
    "flûte+",
    "flu\u0302te",
    "flu\u0302te+",
    "flöte+",
    "🎸",
    "🥁",
    "100 %",
    "100 &",
    "drums+bass",
    "drums bass!",
    "声♪",
    "a\nb",
    "a//b",
    "a/./b",
    "../up",
    "/root",
    "folder/",
    "x" * 300,
    "x" * 299 + "y",
    "\ud800",
    "\u0007",
]


@pytest.mark.parametrize("name", ["vocals", "Gesang", "flûte", "声", "lead vocals", "a.b-c_d", "piano/left", "x" * 200])
def test_a_name_that_mlflow_takes_stays(name):
    assert mlflow_name(f"test_SDR_{name}") == f"test_SDR_{name}"


def test_every_other_becomes_one_that_it_takes_and_no_two_the_same():
    names = [mlflow_name(prefix + name) for name in ODD for prefix in ("test_SDR_", "")]
    assert len(set(names)) == 2 * len(ODD)
    for name in names:
        _validate_metric_name(name)
        _validate_param_name(name)
        assert 0 < len(name) <= 250


def test_it_can_still_be_read():
    assert mlflow_name("test_SDR_🎸").startswith("test_SDR_guitar-")
    assert mlflow_name("test_SDR_flûte+").startswith("test_SDR_flûte_plus_sign-")
    assert mlflow_name("test_SDR_" + "x" * 300).startswith("test_SDR_xxx")
