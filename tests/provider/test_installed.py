import json

import pytest

from sepcore.config.load import load_config
from sepcore.errors import ProviderError
from sepcore.networks.registry import build_network
from sepcore.networks.spleeter_checkpoint import write_checkpoint as write_network
from sepcore.provider.archive import pack_archive
from sepcore.provider.checksum import file_sha256
from sepcore.provider.host import Release
from sepcore.provider.installed import InstalledModel, Pulled, installed_models, pull_model
from tests.models import SMALL_BLSTM, SMALL_UNET, TINY, small_config
from tests.provider.conftest import CHECKPOINT, names
from tests.raised import raises


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Publish a model with this content in a folder that `GITHUB_HOST` names."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("GITHUB_HOST", str(mirror))

    def publish(name="mine", **members):
        pack_archive({**CHECKPOINT, **members}, mirror / f"{name}.tar.gz")
        (mirror / "checksum.json").write_text(json.dumps({name: file_sha256(mirror / f"{name}.tar.gz")}))
        return Release.from_environment()

    return publish


def test_a_model_is_fetched_and_then_up_to_date(publish, models):
    release = publish()
    assert pull_model("mine", release) is Pulled.FETCHED
    assert pull_model("mine", release) is Pulled.UP_TO_DATE
    assert names(models) == ["mine"]


def test_a_newer_release_replaces_an_older_one(publish, models):
    pull_model("mine", publish())
    assert pull_model("mine", publish(**{"model.index": b"newer"})) is Pulled.FETCHED
    assert (models / "mine" / "model.index").read_bytes() == b"newer"


def test_a_damaged_model_is_found_and_replaced(publish, models):
    release = publish()
    pull_model("mine", release)
    (models / "mine" / "model.index").write_bytes(b"damaged")
    with raises(ProviderError, "model.index", "mine.tar.gz", path=models / "mine", hint="models pull mine"):
        InstalledModel.of(models / "mine").check()
    assert pull_model("mine", release) is Pulled.FETCHED
    assert InstalledModel.of(models / "mine").check().startswith("3 files as they came from ")


def test_a_model_of_another_program_is_left_alone_unless_forced(publish, models, write_checkpoint):
    release = publish()
    write_checkpoint(models / "mine")
    (models / "mine" / "model.index").write_bytes(b"another")
    assert pull_model("mine", release) is Pulled.NOT_OURS
    assert (models / "mine" / "model.index").read_bytes() == b"another"
    assert pull_model("mine", release, force=True) is Pulled.FETCHED
    assert (models / "mine" / "model.index").read_bytes() == b"index"


@pytest.mark.parametrize("name", ["notes.txt", "config.json", "model.ckpt-1.index", "samples"])
@pytest.mark.parametrize("fetched", [False, True])
def test_what_lies_beside_the_weights_of_a_model_is_never_replaced(publish, models, write_checkpoint, name, fetched):
    release = publish()
    pull_model("mine", release) if fetched else write_checkpoint(models / "mine")
    (models / "mine" / name).mkdir() if name == "samples" else (models / "mine" / name).write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in models.rglob("*")}
    with raises(ProviderError, name, path=models / "mine", hint="MODEL_PATH") as error:
        pull_model("mine", publish(**{"model.index": b"newer"}), force=True)
    assert "\n" not in str(error.value)
    assert {path: path.stat().st_mtime_ns for path in models.rglob("*")} == before


def test_a_model_that_the_release_has_no_more_stays_and_the_line_says_what_there_is(publish, models, tmp_path):
    pull_model("mine", publish())
    listed = tmp_path / "mirror" / "checksum.json"
    with raises(ProviderError, "'mine'", "other", path=listed, hint="GITHUB_RELEASE"):
        pull_model("mine", publish("other"))
    assert (models / "mine" / "model.index").read_bytes() == b"index"


@pytest.mark.parametrize("network", [SMALL_UNET, SMALL_BLSTM, TINY], ids=lambda network: network["type"])
def test_a_model_without_a_record_is_checked_by_reading_it(models, network):
    config = small_config(model_dir="mine", model=network)
    write_network(build_network(config), models / "mine", step=1)
    model = InstalledModel.of(models / "mine")
    with raises(ProviderError, "config.json", path=models / "mine", hint="config.json"):
        model.check()
    (models / "mine" / "config.json").write_text(config.to_json())
    assert InstalledModel.of(models / "mine").check().startswith("every tensor of its network is there")
    data = models / "mine" / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-20])
    with raises(ProviderError, path=models / "mine" / "model"):
        InstalledModel.of(models / "mine").check()


def test_the_list_has_whole_models_only_with_their_configs(models, write_checkpoint, config_json):
    assert installed_models() == []
    for name in ("2stems", "mine", ".hidden"):
        write_checkpoint(models / name)
    (models / "mine" / "config.json").write_text(config_json)
    (models / "half").mkdir()
    (models / "2stems.tar.gz").touch()
    found = {model.name: model for model in installed_models()}
    assert list(found) == ["2stems", "mine"]
    assert found["2stems"].config == load_config("2stems")
    assert found["mine"].config.instruments == ("vocals", "drums", "rest")


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_a_model_says_how_to_get_one(models, made):
    if made:
        (models / "mine").mkdir(parents=True)
    with raises(ProviderError, path=models / "mine", hint="models pull mine") as error:
        InstalledModel.of(models / "mine")
    assert ("(*.index and *.data-*)" in error.value.problem) is made
