import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.build_index import build_index
from sepcore.dataset.cache.index import read_index
from sepcore.dataset.cache.plan import plan_shard
from sepcore.dataset.cache.shards import write_shard
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.manifest import save_manifest
from sepcore.errors import TrainingError
from sepcore.training.metrics_log import MetricsRecord, append_record
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import FinishedRun, RunInputs
from tasks.tracking.run import tracked
from tasks.tracking.store import store_client
from tasks.training import TrainingSet, _validation_songs, renew_run, train_model
from tests.dataset.conftest import write_noise_song
from tests.models import small_config
from tests.raised import raises


def cached(folder, config: ModelConfig, csv):
    """The index of the songs of a manifest that the check lets through."""
    report = check_manifest(csv, config)
    plans = [plan_shard(song.row, song.files, config, num_chunks=1) for song in report.usable]
    return build_index(folder, [(plan.song, write_shard(plan, config, folder)) for plan in plans], config)


def test_songs_that_the_check_left_out_are_left_out_by_the_training_too(tmp_path):
    config = small_config(validation_songs=9)
    rows = [write_noise_song(tmp_path, config, name) for name in ("a", "b", "c", "d")]
    csv = tmp_path / "validation.csv"
    save_manifest(csv, rows, config)
    rows[1].mixture.unlink()
    rows[2].stems[0][1].write_bytes(b"not music")
    csv.write_text(csv.read_text() + "d/mix.wav,,d/accompaniment.wav,4\n")
    index = cached(tmp_path / "cache", config, csv)
    songs = _validation_songs(config, TrainingSet(csv, csv, index, index), read_index(index, config))
    assert sorted(row.name for row in songs.rows) == ["a", "d"]


def finished(path, config, inputs, **said):
    """A run that another process has finished and scored, as far as its files tell."""
    run = RunFolder(path)
    run.model.mkdir(parents=True)
    for name in ("checkpoint", "model.index", "model.data-00000-of-00001"):
        (run.model / name).write_text("weights")
    run.start(config, inputs)
    run.finish(FinishedRun(name="mine", steps=5, dataset="ab", mlflow_run_id=None, **said))
    run.scores.write_text("{}")
    return run


@pytest.fixture
def songs(tmp_path):
    config = small_config(train_max_steps=5)
    csv = tmp_path / "songs.csv"
    save_manifest(csv, [write_noise_song(tmp_path, config, "a")], config)
    index = cached(tmp_path / "cache", config, csv)
    return config, TrainingSet(csv, csv, index, index)


INPUTS = RunInputs({"training": "ab", "validation": "cd"})


def test_a_run_that_another_process_has_finished_during_the_wait_is_not_trained_again(songs, tmp_path):
    config, data = songs
    run = finished(tmp_path / "run", config, INPUTS)
    assert train_model.fn("mine", config, run, INPUTS, data, print) == (
        f"the config has no model_dir; separate with -p {run.path}"
    )
    assert run.is_done(config)
    assert run.scores.is_file()


@pytest.mark.parametrize("what", ["config", "inputs"])
def test_a_run_that_was_finished_as_another_one_during_the_wait_is_left_alone(songs, tmp_path, what):
    config, data = songs
    other = config.model_copy(update={"random_seed": 9}), RunInputs({"training": "ff", "validation": "cd"})
    theirs = (other[0], INPUTS) if what == "config" else (config, other[1])
    run = finished(tmp_path / "run", *theirs)
    before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    with raises(TrainingError, "config", "songs", path=run.path):
        train_model.fn("mine", config, run, INPUTS, data, print)
    assert before.items() <= {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}.items()


def test_the_same_command_again_sends_what_the_store_lacks_of_a_finished_run_and_then_nothing(
    songs, tmp_path, monkeypatch
):
    config, data = songs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = finished(tmp_path / "run", config, INPUTS, choice_note="last: no validation had a score")
    (run.examples / "a").mkdir(parents=True)
    (run.examples / "a" / "mixture.wav").write_bytes(b"RIFF")
    with tracked(run, "mine", training=True) as tracking:
        append_record(run.metrics, MetricsRecord("train", 5, 1.0, {"train_loss": 3.0}))
        tracking.log_file(tmp_path / "none.txt")
    tracking.note_all_sent(5)
    store = store_client()
    assert store.list_artifacts(tracking.run_id) == []
    for _ in range(2):
        renew_run.fn("mine", config, run, INPUTS, data)
        stored = store.get_run(tracking.run_id)
        assert (stored.info.status, stored.data.tags["model_step"]) == ("FINISHED", "5")
        assert stored.data.tags["model_choice_note"] == "last: no validation had a score"
        assert {file.path for file in store.list_artifacts(tracking.run_id)} == {"config.json", "examples", "model"}
        assert [file.path for file in store.list_artifacts(tracking.run_id, "examples/a")] == ["examples/a/mixture.wav"]
        assert [metric.step for metric in store.get_metric_history(tracking.run_id, "train_loss")] == [5]
        assert len(store.search_model_versions("name='mine'")) == 1
    ended = stored.info.end_time
    renew_run.fn("mine", config, run, INPUTS, data)
    assert store.get_run(tracking.run_id).info.end_time == ended
