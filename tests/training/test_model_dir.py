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
