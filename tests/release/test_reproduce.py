"""What `flows.reproduce` finds out before a training, and says behind it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from flows.reproduce import flow as reproduce
from flows.reproduce.options import manifests_of, training_record
from sepcore.dataset.draws import DRAWS_VERSION
from sepcore.errors import ConfigError, TrainingError
from sepcore.evaluation.scores import MadeFrom
from sepcore.release.training_record import TrainingRecord
from sepcore.training.run_record import RunInputs
from tests.raised import raises
from tests.release.publishing import publish_release

INPUTS = RunInputs({"training": "abcdef012345", "validation": "fedcba"}, "0123", DRAWS_VERSION)


def note(folder, **more):
    path = folder / "done.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


class Index:
    def __init__(self, fingerprint):
        self.fingerprint = lambda: fingerprint


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Up to the training, with songs and initial weights of these fingerprints."""

    def reproduced(source, now):
        monkeypatch.setattr(reproduce, "cache", lambda config, name, **how: now.songs)
        monkeypatch.setattr(reproduce, "read_index", lambda index, config: Index(index))
        monkeypatch.setattr(reproduce, "initial_weights", lambda config: now.initial_weights)
        monkeypatch.setattr(reproduce, "train", lambda params, **how: Path(params))
        for name in ("train.csv", "validation.csv"):
            (tmp_path / name).touch()
        csvs = {"train_csv": tmp_path / "train.csv", "validation_csv": tmp_path / "validation.csv"}
        return reproduce.reproduce.fn(str(source), **csvs, work_dir=tmp_path / "runs")

    return reproduced


@pytest.mark.parametrize("released", [False, True])
def test_other_validation_songs_or_initial_weights_than_of_then_are_refused(run_folder, tmp_path, tried, released):
    note(run_folder, inputs=INPUTS.to_dict())
    source = publish_release(run_folder, version="1.0.0", releases=tmp_path).tarball if released else run_folder
    assert tried(source, INPUTS)
    assert tried(source, replace(INPUTS, draws=DRAWS_VERSION + 1))  # this code's own, whatever they are
    with raises(TrainingError, "validation songs", path=source):
        tried(source, replace(INPUTS, songs=INPUTS.songs | {"validation": "others"}))
    with raises(TrainingError, "initial weights", path=source):
        tried(source, replace(INPUTS, initial_weights=None))


def test_a_run_of_an_earlier_version_goes_by_its_training_songs(run_folder, tried):
    assert tried(run_folder, replace(INPUTS, songs=INPUTS.songs | {"validation": "others"}))


def test_draws_of_another_version_are_said(run_folder, capsys):
    note(run_folder, inputs=replace(INPUTS, draws=DRAWS_VERSION - 1).to_dict())
    reproduce._say_code(TrainingRecord.of_run(run_folder))
    assert "it drew other examples" in capsys.readouterr().out


def test_scores_on_other_songs_are_not_subtracted(run_folder, capsys):
    record = TrainingRecord.of_run(run_folder)

    def printed(then, now):
        sides = (replace(record, scores=replace(record.scores, made_from=made_from)) for made_from in (then, now))
        reproduce._print_scores(*sides)
        return capsys.readouterr().out

    differ = "scores: not compared, the test songs differ"
    assert differ in printed(MadeFrom("a", "these"), MadeFrom("b", "others"))
    for then in (MadeFrom("a", "these"), None):
        out = printed(then, MadeFrom("b", "these"))
        assert "+0.00" in out
        assert differ not in out


def test_paths_of_a_run_from_elsewhere_are_not_honored(run_folder, tmp_path):
    data = {"train_csv": "/data/train.csv", "validation_csv": "/data/validation.csv"}
    note(run_folder, data=data)
    own = training_record(str(run_folder), tmp_path / "runs")
    assert (own.data, own.config.training_cache, own.foreign) == (data, "/data/cache", False)
    (tmp_path / "runs" / "link").symlink_to(run_folder.rename(tmp_path / "elsewhere"))
    for named in ("elsewhere", "runs/link"):
        foreign = training_record(str(tmp_path / named), tmp_path / "runs")
        assert (foreign.data, foreign.foreign) == ({}, True)
        assert "/data" not in foreign.config.to_json()
        with raises(ConfigError, foreign.name, hint="--train-csv"):
            manifests_of(foreign, {})
