import json
import typing
from pathlib import Path

import pytest

from sepcore.config.load import load_config
from sepcore.config.model_config import ModelConfig
from sepcore.errors import ConfigError, ReleaseError
from sepcore.provider.archive import pack_archive
from sepcore.release.gate import release_before
from sepcore.release.training_record import ReleasableRun, TrainingRecord, config_to_train_again
from tests.raised import raises
from tests.release.publishing import publish_release


@pytest.fixture
def tarball(run_folder, tmp_path):
    return publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases").tarball


def test_a_release_says_how_its_model_was_trained(tarball, run_folder):
    released, run = TrainingRecord.of_release(tarball), ReleasableRun.load(run_folder)
    assert (released.name, released.dataset, released.scores) == (run.record.name, run.record.dataset, run.scores)
    assert released.facts == run.record.facts
    assert released.config.fingerprint() == run.config.fingerprint()
    assert released.weights() == TrainingRecord.of_run(run_folder).weights()
    assert list(released.weights()) == ["model.data-00000-of-00001"]
    assert released.data == {}


def test_one_that_was_never_scored_has_no_scores(run_folder, tmp_path):
    (run_folder / "scores.json").unlink()
    forced = publish_release(run_folder, version="1.0.0", releases=tmp_path / "releases", force=True)
    assert TrainingRecord.of_release(forced.tarball).scores is None
    assert release_before(tmp_path / "releases", "mine", "1.0.1").scores is None


@pytest.mark.parametrize(
    "metrics", [None, "", "[]", "{}", '{"training": {}}', '{"training": {"name": "a", "dataset": "b", "facts": 1}}']
)
def test_another_tarball_is_one_line(tmp_path, metrics):
    members = {"config.json": b"{}"} | ({} if metrics is None else {"metrics.json": metrics.encode()})
    pack_archive(members, tmp_path / "x.tar.gz")
    with raises(ReleaseError, path=tmp_path / "x.tar.gz", hint="flows.publish") as error:
        TrainingRecord.of_release(tmp_path / "x.tar.gz")
    assert "\n" not in str(error.value)


def test_a_tarball_that_is_none_is_one_line(tmp_path):
    (tmp_path / "x.tar.gz").write_bytes(b"damaged")
    with raises(ReleaseError, path=tmp_path / "x.tar.gz", hint="flows.publish") as error:
        TrainingRecord.of_release(tmp_path / "x.tar.gz")
    assert "\n" not in str(error.value)


def test_a_release_with_damaged_scores_is_refused(tmp_path):
    content = {"training": {"name": "a", "dataset": "b", "facts": {}}, "stems": 1}
    members = {"config.json": load_config("2stems").to_json().encode(), "metrics.json": json.dumps(content).encode()}
    pack_archive(members, tmp_path / "x.tar.gz")
    with raises(ReleaseError, "metrics.json", path=tmp_path / "x.tar.gz"):
        TrainingRecord.of_release(tmp_path / "x.tar.gz")


def test_a_release_with_a_wrong_config_names_its_key(tmp_path):
    content = {"training": {"name": "a", "dataset": "b", "facts": {}}}
    wrong = json.loads(load_config("2stems").to_json()) | {"frame_stpe": 7}
    pack_archive(
        {"config.json": json.dumps(wrong).encode(), "metrics.json": json.dumps(content).encode()}, tmp_path / "x.tar.gz"
    )
    with raises(ConfigError, "frame_stpe"):
        TrainingRecord.of_release(tmp_path / "x.tar.gz")


# What a release's own paths and names may do

# Keys whose texts are names of stems and recordings.
NAMES = {"mix_name", "instrument_list", "instrument_mapping"}
ELSEWHERE = "/home/victim/elsewhere"


def kinds(annotation):
    arguments = typing.get_args(annotation)
    return {annotation}.union(*map(kinds, arguments)) if arguments else {annotation}


def path_keys():
    """Every key of a config that can hold a path: a new one has to be thought of here, or in `paths.PATH_KEYS`."""
    fields = {field.alias or name: field for name, field in ModelConfig.model_fields.items()}
    return sorted({key for key, field in fields.items() if kinds(field.annotation) & {str, Path}} - NAMES)


@pytest.fixture
def hostile(tmp_path):
    """A release whose config has a path of somebody else's in every key that can hold one."""
    content = json.loads(load_config("2stems").to_json()) | {key: f"{ELSEWHERE}/{key}" for key in path_keys()}
    training = {"training": {"name": "mine", "dataset": "abc", "facts": {}}}
    members = {"config.json": json.dumps(content).encode(), "metrics.json": json.dumps(training).encode()}
    pack_archive(members, tmp_path / "hostile.tar.gz")
    return TrainingRecord.of_release(tmp_path / "hostile.tar.gz")


def test_no_path_of_a_release_is_honored_whatever_key_it_stands_in(hostile, tmp_path):
    assert ELSEWHERE not in hostile.config.to_json()
    csvs = {"train_csv": tmp_path / "train.csv", "validation_csv": tmp_path / "validation.csv"}
    again = config_to_train_again(hostile.config, csvs, init_from="2stems", caches=tmp_path / "data")
    paths = {key: value for key, value in json.loads(again.to_json()).items() if key in path_keys()}
    assert paths == {
        **{key: str(path) for key, path in csvs.items()},
        **{key: str(tmp_path / "data" / key) for key in ("training_cache", "validation_cache")},
        "init_from": "2stems",
    }


def test_a_run_trained_again_writes_into_its_own_cache_and_into_no_model_dir(run_folder):
    config = ReleasableRun.load(run_folder).config
    again = config_to_train_again(config, {}, init_from=None, caches=None)
    assert again.training_cache == config.training_cache
    assert again.model_dir is None


def test_a_release_names_the_model_it_was_started_from_without_a_path(run_folder, tmp_path):
    content = json.loads((run_folder / "config.json").read_text()) | {"init_from": "/data/runs/base-0123"}
    (run_folder / "config.json").write_text(json.dumps(content))
    record = TrainingRecord.of_release(publish_release(run_folder, version="1.0.0", releases=tmp_path).tarball)
    assert (record.config.init_from, record.facts["init_from"]) == (None, "base-0123")


@pytest.mark.parametrize("name", ["../victim", "/etc/victim", "..", "", "a/b", "a\\b", "a\nb", "x" * 300])
def test_a_name_that_is_a_path_is_refused(run_folder, tmp_path, name):
    record = json.loads((run_folder / "done.json").read_text()) | {"name": name}
    (run_folder / "done.json").write_text(json.dumps(record))
    members = {"config.json": b"{}", "metrics.json": json.dumps({"training": record}).encode()}
    pack_archive(members, tmp_path / "x.tar.gz")
    for read, source in ((TrainingRecord.of_run, run_folder), (TrainingRecord.of_release, tmp_path / "x.tar.gz")):
        with pytest.raises(ReleaseError) as error:
            read(source)
        assert str(error.value).isprintable()
