"""Weights that are replaced while a process separates song after song."""

import json
import os
import shutil
import threading
from socket import gethostname

import numpy as np
import pytest

from flows.separate_batch.batch import plan
from flows.separate_batch.locally import separate_locally
from flows.separate_batch.options import BatchOptions
from sepcore import Separator
from sepcore.errors import CheckpointError, ConfigError, StemworksError
from sepcore.separation.settings import SeparatorSettings
from sepcore.separation.shared import PlannedModel, planned_separator, shared_separator
from sepcore.signal.audio_reader import read_waveform
from tests.models import TINY, write_model
from tests.raised import raises


def planned(songs, tmp_path, model):
    return plan(BatchOptions(paths=songs, out=tmp_path / "out", params=str(model), bits=32), songs)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Two models that differ in their weights alone: their files have the same sizes, and the same times."""
    folders = [write_model(tmp_path_factory.mktemp("version"), seed, model=TINY) for seed in (0, 1)]
    for folder in folders:
        for file in folder.rglob("*"):
            os.utime(file, (1e9, 1e9))
    return folders


@pytest.mark.parametrize("keys", [{}, {"overlap": 0.0}, {"overlap": 0.5}, {"precision": "auto"}])
def test_a_worker_that_is_handed_the_separators_own_settings_does_not_load_the_model_again(versions, keys):
    separator = shared_separator(SeparatorSettings(str(versions[0]), **keys))
    assert shared_separator(separator.settings) is separator


def by_renaming(new, model):
    """As a download or a training puts a model somewhere."""
    shutil.copytree(new, model.with_name("new"))
    shutil.rmtree(model)
    model.with_name("new").rename(model)


def in_place(new, model):
    """As ``cp -a`` does over files that are there."""
    for file in (path for path in new.rglob("*") if path.is_file()):
        shutil.copy2(file, model / file.relative_to(new))


@pytest.mark.parametrize("replace", [by_renaming, in_place])
def test_each_song_is_separated_and_recorded_with_the_weights_of_its_time(
    versions, write_song, tmp_path, replace, caplog
):
    model = shutil.copytree(versions[0], tmp_path / "model")
    songs = [write_song(f"{number}.wav", seed=number) for number in range(4)]
    batch = planned(songs, tmp_path, model)
    # One loop of a watch, or songs of a batch, after the other.
    for number, version in enumerate((0, 1, 1, 0)):
        if number in (1, 3):
            replace(versions[version], model)
        separate_locally(batch, batch.songs[number : number + 1])
        expected = Separator(versions[version])
        (record,) = [
            content
            for path in (tmp_path / "out" / ".separated").glob("*.json")
            if f"{number}/vocals.wav" in (content := json.loads(path.read_text()))["stems"]
        ]
        assert record["separator"] == expected.fingerprint()
        waveform = read_waveform(songs[number], sample_rate=8000, num_channels=2)
        written = read_waveform(batch.songs[number].stem_files["vocals"], sample_rate=8000, num_channels=2)
        np.testing.assert_array_equal(written, expected.separate(waveform)["vocals"])
    assert caplog.text.count("the model has been replaced") == 2


def test_a_separator_goes_by_the_weights_that_it_has_loaded(versions, tmp_path):
    model = shutil.copytree(versions[0], tmp_path / "model")
    separator = Separator(model, load=False)
    in_place(versions[1], model)  # between the look for what is done and the first song
    separator.load()
    loaded = separator.fingerprint()
    assert loaded == Separator(versions[1], load=False).fingerprint()
    in_place(versions[0], model)
    assert separator.fingerprint() == loaded
    assert separator.is_outdated()
    shutil.rmtree(model)
    assert (separator.fingerprint(), separator.is_outdated()) == (loaded, False)


def test_weights_that_are_replaced_without_end_are_never_taken_for_others(versions, tmp_path):
    model = shutil.copytree(versions[0], tmp_path / "model")
    fingerprints = [Separator(version, load=False).fingerprint() for version in versions]
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (4000, 2)).astype(np.float32)
    stems = [Separator(version).separate(waveform)["vocals"] for version in versions]
    stop = threading.Event()

    def swap():
        turn = 0
        while not stop.wait(0.04):
            in_place(versions[(turn := turn + 1) % 2] / "model", model / "model")

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(10):
            try:
                separator = Separator(model)
            except StemworksError:
                continue
            assert np.array_equal(
                separator.separate(waveform)["vocals"], stems[fingerprints.index(separator.fingerprint())]
            )
    finally:
        stop.set()
        thread.join()


def test_a_config_that_changes_under_the_same_weights_is_another_model(versions, tmp_path):
    model = shutil.copytree(versions[0], tmp_path / "model")
    settings = SeparatorSettings(str(model))
    first = shared_separator(settings)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"MWF": True}))
    assert shared_separator(settings).mwf
    assert not first.mwf
    assert shared_separator(settings) is shared_separator(settings)


def test_a_model_with_other_stems_ends_the_batch_and_leaves_the_stems_that_are_there(versions, write_song, tmp_path):
    model = shutil.copytree(versions[0], tmp_path / "model")
    batch = planned([write_song()], tmp_path, model)
    write_model(model, model=TINY, instrument_list=["vocals", "drums"])
    with raises(ConfigError, "without accompaniment", "vocals, drums", hint="same command"):
        separate_locally(batch, batch.songs)
    assert not list((tmp_path / "out").rglob("*.wav"))


def test_a_worker_whose_model_is_another_refuses_and_names_both_places(versions, tmp_path):
    here, there = (shutil.copytree(versions[number], tmp_path / str(number)) for number in (0, 1))
    planned = PlannedModel.of(Separator(here, load=False))
    assert planned_separator(SeparatorSettings(str(here)), planned).folder == here / "model"
    with raises(CheckpointError, here / "model", there / "model", gethostname(), hint="MODEL_PATH") as error:
        planned_separator(SeparatorSettings(str(there)), planned)
    assert "\n" not in str(error.value)
    # The same weights elsewhere are the same model; and where the planner found it, the model of now is meant.
    in_place(versions[0], there)
    assert planned_separator(SeparatorSettings(str(there)), planned).folder == there / "model"
    in_place(versions[1], here)
    assert planned_separator(SeparatorSettings(str(here)), planned).fingerprint() != planned.fingerprint
