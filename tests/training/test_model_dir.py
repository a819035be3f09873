import os
import shutil

import filelock
import pytest

from sepcore.networks.checkpoint_files import find_checkpoint
from sepcore.training.model_dir import put_into_model_dir
from sepcore.training.run_folder import RunFolder
from tests.models import small_config


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_PATH", str(tmp_path / "models"))
    return tmp_path / "models"


def trained(path, content="weights"):
    """A run folder with a checkpoint, as far as file names tell."""
    run = RunFolder(path)
    run.model.mkdir(parents=True)
    for name in ("checkpoint", "model.index", "model.data-00000-of-00001"):
        (run.model / name).write_text(content)
    return run


def weights(folder):
    return (folder / "model.index").read_text()


def test_the_model_goes_where_the_config_points(tmp_path, models):
    folder, line = put_into_model_dir(trained(tmp_path / "run"), small_config(model_dir="mine"))
    assert folder == models / "mine"
    assert find_checkpoint(folder)
    assert line == f"model copied to {folder}"


def test_the_same_training_gone_on_replaces_its_own_model(tmp_path, models):
    put_into_model_dir(trained(tmp_path / "a" / "run", "first"), small_config(model_dir="mine"))
    put_into_model_dir(trained(tmp_path / "b" / "run", "later"), small_config(model_dir="mine"))
    assert weights(models / "mine") == "later"


def test_the_model_of_another_training_is_left_alone(tmp_path, models):
    put_into_model_dir(trained(tmp_path / "one", "first"), small_config(model_dir="mine"))
    folder, line = put_into_model_dir(trained(tmp_path / "two", "second"), small_config(model_dir="mine"))
    assert folder is None
    assert f"separate with -p {tmp_path / 'two'}" in line
    assert weights(models / "mine") == "first"


@pytest.mark.parametrize("model_dir", ["4stems", None])
def test_a_published_models_place_is_kept_for_it(tmp_path, models, model_dir):
    folder, line = put_into_model_dir(trained(tmp_path / "run"), small_config(model_dir=model_dir))
    assert folder is None
    assert "separate with -p" in line
    assert not models.exists()


# What somebody else put there


def put(folder, *files):
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("mine")


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(run, model_dir):
    folder, line = put_into_model_dir(run, small_config(model_dir=str(model_dir)))
    assert folder is None
    assert line.endswith(f"; separate with -p {run.path}")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("where", ["relative", "absolute", "below the published model's"])
@pytest.mark.parametrize(
    "files", [["thesis.tex"], ["config.json"], [".hidden"], ["sub/a.wav"], ["a\nb"], ["model.index", "x"]]
)
def test_a_folder_with_files_that_no_training_wrote_is_left_alone_and_they_are_named(tmp_path, models, where, files):
    model_dir = {"relative": "mine", "absolute": tmp_path / "thesis"}.get(where, "4stems/mine")
    folder = models / model_dir
    put(folder, *files)
    before = contents(folder)
    line = refused(trained(tmp_path / "run"), model_dir)
    if where != "below the published model's":
        assert f"{folder} holds " in line
        assert "give model_dir another name" in line
    assert contents(folder) == before


def test_a_file_beside_the_model_of_the_same_training_is_not_lost(tmp_path, models):
    put_into_model_dir(trained(tmp_path / "a" / "run", "first"), small_config(model_dir="mine"))
    put(models / "mine", "notes.txt")
    assert "mine holds notes.txt, which" in refused(trained(tmp_path / "b" / "run", "later"), "mine")
    assert weights(models / "mine") == "first"


def test_a_model_that_was_changed_since_is_left_alone(tmp_path, models):
    put_into_model_dir(trained(tmp_path / "a" / "run", "first"), small_config(model_dir="mine"))
    put(models / "mine", "model.index")
    assert "model.index in " in refused(trained(tmp_path / "b" / "run", "later"), "mine")
    assert weights(models / "mine") == "mine"


def test_a_model_that_an_earlier_version_put_there_is_replaced_by_its_own_training(tmp_path, models):
    run = trained(tmp_path / "run")
    for name in (
        "checkpoint",
        "model.index",
        "model.data-00000-of-00001",
        ".probe",
        ".network-3-0123456789abcdef.onnx",
    ):
        put(models / "mine", name)
    (models / "mine" / ".run").write_text(run.lineage)
    assert put_into_model_dir(run, small_config(model_dir="mine"))[0] == models / "mine"
    assert weights(models / "mine") == "weights"
    assert not (models / "mine" / ".network-3-0123456789abcdef.onnx").exists()


def test_a_whole_model_without_a_mark_is_left_alone(tmp_path, models):
    put(models / "mine", "checkpoint", "model.index", "model.data-00000-of-00001")
    assert "holds the model of another training" in refused(trained(tmp_path / "run"), "mine")


def test_links_are_neither_replaced_nor_followed(tmp_path, models):
    elsewhere = tmp_path / "elsewhere"
    put(elsewhere / "deep", "mine.txt")
    models.mkdir()
    (models / "link").symlink_to(elsewhere)
    run = trained(tmp_path / "run")
    assert "is a link" in refused(run, "link")
    assert "leads by a link out of" in refused(run, "link/deep")
    assert "leads by a link out of" in refused(run, "link/new")
    assert names(elsewhere) == ["deep"]
    assert (models / "link").is_symlink()


@pytest.mark.parametrize("model_dir", ["./4stems", "4stems/", "2stems/mine", "{models}/5stems"])
def test_a_published_models_place_is_kept_for_it_however_it_is_written(tmp_path, models, model_dir):
    assert "is kept for the published model" in refused(trained(tmp_path / "run"), model_dir.format(models=models))
    assert not models.exists()


@pytest.mark.parametrize("which", ["", ".."])
def test_the_folder_of_models_and_those_above_it_become_no_model(tmp_path, models, which):
    models.mkdir()
    assert "is MODEL_PATH or holds it" in refused(trained(tmp_path / "run"), os.path.normpath(models / which))
    assert names(models) == []


def test_the_same_model_is_not_copied_again(tmp_path, models):
    run, config = trained(tmp_path / "run"), small_config(model_dir="mine")
    put_into_model_dir(run, config)
    before = (models / "mine").stat().st_ino
    assert put_into_model_dir(run, config)[0] == models / "mine"
    assert (models / "mine").stat().st_ino == before


@pytest.mark.parametrize("lost", ["checkpoint", "model.index", "model.data-00000-of-00001"])
def test_a_file_that_is_missing_where_the_model_was_put_is_put_back(tmp_path, models, lost):
    run, config = trained(tmp_path / "run"), small_config(model_dir="mine")
    put_into_model_dir(run, config)
    (models / "mine" / lost).unlink()
    assert put_into_model_dir(run, config)[0] == models / "mine"
    assert (models / "mine" / lost).read_text() == "weights"


@pytest.mark.parametrize("lost", ["model.index", "model.data-00000-of-00001", None])
def test_a_run_without_a_whole_model_replaces_none(tmp_path, models, lost):
    run, config = trained(tmp_path / "run"), small_config(model_dir="mine")
    put_into_model_dir(run, config)
    before = contents(models)
    if lost is None:
        shutil.rmtree(run.model)
    else:
        (run.model / lost).unlink()
    folder, line = put_into_model_dir(run, config)
    assert folder is None
    assert line.startswith(f"{run.model} holds no whole model; ")
    assert contents(models) == before


def test_a_run_in_which_another_process_trains_is_not_copied(tmp_path, models):
    run = trained(tmp_path / "run")
    with filelock.FileLock(run.lock, is_singleton=False):
        assert "another process trains in" in refused(run, "mine")
    assert not (models / "mine").exists()


def test_a_place_that_cannot_be_written_to_costs_no_training(tmp_path, models):
    models.write_text("a file")
    assert "the model cannot be put into" in refused(trained(tmp_path / "run"), "mine")


def names(folder):
    return sorted(path.name for path in folder.iterdir())
