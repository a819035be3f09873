import pytest

from sepcore.config.model_config import ModelConfig
from sepcore.dataset.cache.index import build_index, read_index
from sepcore.dataset.cache.plan import plan_shard
from sepcore.dataset.cache.shards import write_shard
from sepcore.dataset.check.check import check_manifest
from sepcore.dataset.manifest import save_manifest
from sepcore.errors import TrainingError
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_inputs import RunInputs
from tasks.training import TrainingSet, _validation_songs, train_model
from tests.dataset.conftest import write_noise_song
from tests.models import small_config
from tests.raised import raises


def cached(folder, config: ModelConfig, csv):
    """The index of the songs of a manifest that the check lets through."""
    report = check_manifest(csv, config)
    plans = [plan_shard(song.row, song.measures, config, num_chunks=1) for song in report.usable]
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


def finished(path, config, inputs):
    """A run that another process has finished and scored, as far as its files tell."""
    run = RunFolder(path)
    run.model.mkdir(parents=True)
    for name in ("checkpoint", "model.index", "model.data-00000-of-00001"):
        (run.model / name).write_text("weights")
    run.start(config, inputs)
    run.finish(name="mine", steps=5, dataset="ab", mlflow_run_id=None)
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
