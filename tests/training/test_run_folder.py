import dataclasses
import json

import pytest

from sepcore import load_config
from sepcore.errors import TrainingError
from sepcore.training.run_folder import RunFolder, find_run
from sepcore.training.run_record import FinishedRun, RunInputs
from tests.models import small_config
from tests.raised import raises


def test_the_same_config_on_the_same_dataset_leads_to_the_same_folder(tmp_path):
    config = small_config()
    songs = {"training": "abcdef0123", "validation": "0123"}
    inputs = RunInputs(songs, "0f0f")
    run = RunFolder.of(tmp_path, "mine", config, inputs)
    assert run == RunFolder.of(tmp_path, "mine", small_config(train_max_steps=7, init_from="elsewhere"), inputs)
    assert run != RunFolder.of(tmp_path, "mine", small_config(random_seed=1), inputs)
    others = [{"songs": songs | {part: "ff"}} for part in songs] + [{"initial_weights": None}, {"draws": -1}]
    for other in others:
        assert run != RunFolder.of(tmp_path, "mine", config, dataclasses.replace(inputs, **other))


def test_a_run_is_finished_once_it_says_so(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.start(small_config())
    assert run.finished() is None
    run.finish(FinishedRun(name="mine", steps=5, dataset="abc", mlflow_run_id=None))
    assert run.finished() == FinishedRun("mine", 5, "abc")
    assert load_config(run.path) == small_config()
    run.reopen()
    assert run.finished() is None


def test_done_json_is_as_earlier_versions_wrote_and_read_it(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / "done.json").write_text('{"name": "mine", "steps": 3, "dataset": "none"}')
    assert run.finished() == FinishedRun("mine", 3, "none")
    assert run.finished().model_step == 3
    content = {
        "name": "mine",
        "steps": 5,
        "dataset": "abc",
        "mlflow_run_id": None,
        "facts": {"weights": "4"},
        "data": {"train_csv": "/train.csv"},
        "inputs": {"songs": {"training": "ab", "validation": "cd"}, "initial_weights": None, "draws": 1},
        "ended_early": True,
        "test_songs": "ef",
    }
    (tmp_path / "done.json").write_text(json.dumps(content))
    assert run.finished().model_step == 4
    run.finish(run.finished())
    assert (tmp_path / "done.json").read_text() == json.dumps(content, indent=2) + "\n"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "mine", "steps": "x", "dataset": ""}'])
def test_a_damaged_done_json_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "done.json").write_text(text)
    with raises(TrainingError, path=tmp_path / "done.json"):
        RunFolder(tmp_path).finished()


def test_scores_and_frames_of_the_old_weights_go_as_training_goes_on_and_what_others_put_there_stays(tmp_path):
    run = RunFolder(tmp_path / "run")
    ours = ["frames.parquet", "tracks.parquet", "scores.json", "report.html", "test/song.json", "made_from/song.json"]
    others = ["notes.txt", "test/theirs.json", "baselines/mixture/frames.parquet", "audio/song/mixture.wav"]
    for name in ours + others:
        (run.evaluation / name).parent.mkdir(parents=True, exist_ok=True)
        (run.evaluation / name).touch()
    run.scores.touch()
    run.reopen()
    assert not run.scores.exists()
    left = {str(path.relative_to(run.evaluation)) for path in run.evaluation.rglob("*") if path.is_file()}
    assert left == set(others)
    run.reopen()


def test_a_finished_run_is_told_where_its_manifests_are_now(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.note_data({"test_csv": "/new/test.csv"})
    assert run.finished() is None
    run.finish(FinishedRun(name="mine", steps=5, dataset="abc", mlflow_run_id=None, data={"test_csv": "/old/test.csv"}))
    before = run.finished()
    run.note_data({"test_csv": "/new/test.csv"})
    assert run.finished() == dataclasses.replace(before, data={"test_csv": "/new/test.csv"})


def test_a_run_is_found_by_folder_by_name_and_by_the_beginning_of_its_name(tmp_path):
    for name in ("a-1234", "b-1234"):
        RunFolder(tmp_path / name).start(small_config())
    for wanted in (tmp_path / "a-1234", "a-1234", "a-"):
        assert find_run(wanted, tmp_path).path == tmp_path / "a-1234"


@pytest.mark.parametrize(("wanted", "problem"), [("c", "no such run"), ("a", "names more than one run")])
def test_a_run_that_is_not_meant_clearly_is_refused_with_those_there(tmp_path, wanted, problem):
    for name in ("a-1", "a-2"):
        RunFolder(tmp_path / name).start(small_config())
    with raises(TrainingError, f"{wanted}: {problem}", tmp_path, "there: a-1, a-2"):
        find_run(wanted, tmp_path)


def test_what_a_run_is_made_from_is_kept_with_it(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.start(small_config())
    assert (run.inputs(), run.dataset()) == (None, "")
    inputs = RunInputs({"training": "ab", "validation": "cd"}, "ef", draws=7)
    run.start(small_config(), inputs)
    assert (run.inputs(), run.dataset()) == (inputs, "ab")


def test_of_a_run_of_an_earlier_version_the_training_songs_are_known(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.start(small_config())
    (run.path / ".dataset").write_text("abcdef0123456789")
    assert (run.inputs(), run.dataset()) == (None, "abcdef0123456789")
    run.start(small_config(), RunInputs({"training": "ab", "validation": "cd"}))
    assert run.dataset() == "ab"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"turn": 1, "songs": {}, "initial_weights": null, "draws": 1}'])
def test_a_damaged_identity_is_refused_in_one_line_and_not_taken_for_none(tmp_path, text):
    (tmp_path / "identity.json").write_text(text)
    with raises(TrainingError, path=tmp_path / "identity.json") as caught:
        RunFolder(tmp_path).inputs()
    assert "\n" not in str(caught.value)
