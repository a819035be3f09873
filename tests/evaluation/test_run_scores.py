"""Whose scores a run's are."""

import json
from functools import partial

import pytest

from sepcore.dataset.manifest import load_manifest
from sepcore.evaluation.file_fingerprint import song_fingerprint, songs_fingerprint
from sepcore.evaluation.run_scores import UNVERIFIED, is_of, run_scores, why_not_own
from sepcore.evaluation.scores import MadeFrom, ScoreSummary, StemScores
from sepcore.separation.separator import Separator
from sepcore.separation.settings import SeparatorSettings
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import FinishedRun
from tests.models import small_config

CONFIG = small_config()
STEMS = {"vocals": StemScores(5.0, 9.0, 9.0, 9.0, 0.0)}


def model_of(run, mwf=None):
    return Separator.of(SeparatorSettings(str(run.path), mwf)).fingerprint()


def write_manifest(folder, *songs):
    """A manifest of songs that are known by their bytes."""
    lines = ["mix_path,vocals_path,accompaniment_path,duration"]
    folder.mkdir(exist_ok=True)
    for song in songs:
        files = [folder / f"{song} {name}.wav" for name in ("mix", "vocals", "accompaniment")]
        for file in files:
            file.write_text(file.name)
        lines.append(",".join([*(file.name for file in files), "3"]))
    (folder / "test.csv").write_text("\n".join(lines) + "\n")
    return folder / "test.csv"


@pytest.fixture
def run(tmp_path):
    """A finished run with its own test set."""
    run = RunFolder(tmp_path / "run")
    run.start(CONFIG)
    run.model.mkdir()
    for name in ("model.index", "model.data-00000-of-00001"):
        (run.model / name).write_text("weights")
    data = {"test_csv": str(write_manifest(tmp_path / "own", "one", "two"))}
    run.finish(FinishedRun(name="mine", steps=5, dataset="abc", mlflow_run_id=None, data=data))
    return run


def keep_scores(run, **made_from):
    summary = ScoreSummary("own/test.csv", 2, 0, STEMS, MadeFrom(**made_from) if made_from else None)
    run.scores.write_text(summary.to_json())
    return summary


def asked(run, csv, *, engine="fast", mwf=None, dataset="own/test.csv"):
    rows = load_manifest(csv, CONFIG)
    return why_not_own(
        run,
        CONFIG,
        rows,
        engine,
        model=model_of(run, mwf),
        dataset=dataset,
        songs=lambda: songs_fingerprint(map(song_fingerprint, rows)),
    )


# What counts as a run's scores


def test_scores_of_the_runs_weights_and_config_count(run):
    summary = keep_scores(run, model=model_of(run), songs="these")
    assert run_scores(run).summary == summary
    assert run_scores(run).note == ""


@pytest.mark.parametrize(
    "change",
    [
        lambda run: (run.model / "model.data-00000-of-00001").write_text("other weights"),
        lambda run: run.start(small_config(MWF=True)),
        lambda run: run.start(small_config(mask_extension="average")),
        lambda run: run.start(small_config(separation_exponent=1)),
        lambda run: (run.model / "model.index").unlink(),
        lambda run: (run.path / "config.json").unlink(),
    ],
)
def test_scores_of_other_weights_or_of_another_config_do_not(run, change):
    made_from = keep_scores(run, model=model_of(run), songs="these").made_from
    change(run)
    assert run_scores(run).summary is None
    assert run_scores(run).note == "has a scores.json of other weights, or of another config"
    assert not is_of(run, made_from)


def test_keys_that_decide_no_stem_leave_the_scores(run):
    keep_scores(run, model=model_of(run), songs="these")
    run.start(small_config(train_max_steps=7, test_csv="elsewhere.csv", model_dir="mine"))
    assert run_scores(run).summary is not None


def test_scores_of_an_earlier_version_count_with_a_note(run):
    summary = keep_scores(run)
    assert "made_from" not in json.loads(run.scores.read_text())
    assert (run_scores(run).summary, run_scores(run).note) == (summary, UNVERIFIED)


def test_without_scores_there_are_none(run):
    assert (run_scores(run).summary, run_scores(run).note) == (None, "has no scores.json")


# Which evaluation gives them


def test_the_recorded_test_set_is_the_runs_own_wherever_its_songs_lie(run, tmp_path):
    assert asked(run, tmp_path / "own" / "test.csv") == ""
    copied = write_manifest(tmp_path / "copied", "two", "one")
    assert asked(run, copied, dataset="copied/test.csv") == ""


@pytest.mark.parametrize("songs", [["one"], ["one", "two", "three"], ["one", "three"]])
def test_other_songs_are_not_even_under_the_same_name(run, tmp_path, songs):
    (tmp_path / "elsewhere").mkdir()
    other = write_manifest(tmp_path / "elsewhere" / "own", *songs)
    assert asked(run, other) == f"its own test set is {tmp_path / 'own' / 'test.csv'}"


def test_nor_is_a_separation_that_the_config_does_not_ask_for_nor_another_engine(run, tmp_path):
    own = partial(asked, run, tmp_path / "own" / "test.csv")
    assert own(mwf=True) == "the run's config separates differently"
    assert own(engine="stable") == "--engine stable gives other scores than museval's"
    assert own(mwf=False) == own(engine="museval") == ""


def test_where_the_recorded_test_set_has_gone_nothing_is(run, tmp_path):
    other = write_manifest(tmp_path / "other", "three")
    (tmp_path / "own" / "test.csv").unlink()
    assert f"cannot be read ({tmp_path / 'own' / 'test.csv'}: " in asked(run, other)


def test_the_recorded_songs_are_its_own_whatever_becomes_of_their_manifest(run, tmp_path):
    own = tmp_path / "own" / "test.csv"
    songs = songs_fingerprint(map(song_fingerprint, load_manifest(own, CONFIG)))
    run.note_data({"test_csv": str(own)}, test_songs=songs)
    copied = write_manifest(tmp_path / "copied", "two", "one")
    assert asked(run, own) == asked(run, copied) == ""
    write_manifest(tmp_path / "own", "one")
    assert asked(run, own) == f"its own test set is {own} as it was trained with"
    assert asked(run, copied) == ""


def test_a_recorded_test_set_without_songs_is_none(run, tmp_path):
    write_manifest(tmp_path / "own")
    assert asked(run, write_manifest(tmp_path / "first", "first")) == ""


def test_a_run_without_a_recorded_test_set_keeps_to_the_songs_that_it_was_first_scored_on(run, tmp_path):
    run.note_data({})
    first, other = (write_manifest(tmp_path / name, name) for name in ("first", "other"))
    assert asked(run, first) == asked(run, other) == ""
    songs = songs_fingerprint(map(song_fingerprint, load_manifest(first, CONFIG)))
    keep_scores(run, model="of whatever weights", songs=songs)
    assert asked(run, first) == ""
    assert asked(run, other).startswith("it has scores on other songs, own/test.csv (delete ")
    keep_scores(run)
    assert asked(run, other, dataset="own/test.csv") == ""
    assert asked(run, other, dataset="other/test.csv").startswith("it has scores on other songs")
