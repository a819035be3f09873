"""The comparison of two evaluations, as a user or a gate of continuous integration calls it."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from flows.compare import command as compare
from sepcore.errors import DatasetError
from sepcore.evaluation.comparison import compare_scores
from sepcore.evaluation.track_scores import save_track_scores, write_table
from sepcore.system.atomic import write_text
from sepcore.training.run_folder import RunFolder
from tests.evaluation.score_tables import TRACKS, model, scores_of
from tests.flows.test_commands import assert_is_one_line, lacking
from tests.models import small_config
from tests.raised import raises

pytestmark = pytest.mark.slow

BASE, WORSE = model(1), model(2, vocals=-0.5, drums=0.3)


def write_scores(folder, frames, dataset="MUSDB18"):
    """What `flows.evaluate -o` leaves, but for the files of single tracks."""
    write_table([frames], folder / "frames.parquet")
    write_text(folder / "scores.json", json.dumps({"dataset": dataset}))


@pytest.fixture
def here(tmp_path):
    """A working folder with two folders of scores and two runs, of which one is evaluated."""
    write_scores(tmp_path / "base", BASE)
    write_scores(tmp_path / "worse", WORSE, dataset="MUSDB18-HQ")
    for name in ("first-123456789abc", "second-123456789abc"):
        RunFolder(tmp_path / "runs" / name).start(small_config())
    write_scores(RunFolder(tmp_path / "runs" / "first-123456789abc").evaluation, BASE)
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_worse_model_is_refused_and_everything_is_kept_as_json(run, here):
    result = run("compare", "base", "worse", "--out", "kept/all.json", "--resamples", 500, "--seed", 3)
    assert result.returncode == 1
    assert (result.stderr.count("\n"), lacking(result.stderr, "B A vocals SDR 0 dB")) == (1, [])
    assert "drums" not in result.stderr
    kept = json.loads((here / "kept" / "all.json").read_text("utf-8"))
    assert (kept["worse"], kept["a"]["path"], kept["b"]["dataset"]) == (["vocals"], "base", "MUSDB18-HQ")
    assert (kept["resamples"], kept["seed"], kept["margin"], kept["strict"]) == (500, 3, 0.0, False)
    expected = compare_scores(BASE, WORSE, resamples=500, seed=3)
    assert kept["stems"] == expected.stems.to_dict("records")
    assert len(kept["tracks"]) == 2 * TRACKS
    # On the terminal: the stems, the datasets' names, the ten worst tracks.
    assert "warning: the test sets have different names, MUSDB18 and MUSDB18-HQ" in result.stdout
    assert f"greatest losses of B, 10 of {(expected.tracks['difference'] < 0).sum()}" in result.stdout
    assert result.stdout.count("Song") == 10
    assert expected.tracks["track"][0] in result.stdout


def test_musevals_own_files_compare_with_a_run_and_the_same_scores_pass(run, here):
    for _, track in BASE[BASE["track"] < "Song 07"].groupby("track"):
        save_track_scores(scores_of(track), here / "museval")
    result = run("compare", "first", "museval/test", "--strict", "--allow-missing", "--out", "tracks.parquet")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:2] == [
        "A: runs/first-123456789abc/evaluation, scored on MUSDB18",
        "B: museval/test",
    ]
    assert result.stdout.splitlines()[-1] == "B is not worse than A in vocals, drums (SDR, margin 0 dB)"
    assert "left out, 13 tracks that only A has: Song 07" in result.stdout
    tracks = pd.read_parquet(here / "tracks.parquet")
    assert list(tracks.columns) == ["track", "target", "a", "b", "difference"]
    assert (len(tracks), (tracks["difference"] == 0).all()) == (14, True)


def test_what_only_a_has_a_score_of_is_refused_and_named(run, here):
    write_scores(here / "lame", BASE[(BASE["target"] != "drums") | (BASE["track"] > "Song 01")])
    result = run("compare", "base", "lame", "--out", "all.json")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert not lacking(result.stderr, "B A drums SDR --allow-missing"), result.stderr
    assert "scores that A has and B lacks" in result.stdout
    kept = json.loads((here / "all.json").read_text("utf-8"))
    assert (kept["worse"], kept["allow_missing"], len(kept["missing"])) == (["drums"], False, 2)
    assert run("compare", "base", "lame", "--allow-missing").returncode == 0


@pytest.mark.parametrize("named", ["first", "runs/first-123456789abc/evaluation"])
def test_scores_of_other_weights_than_a_runs_are_refused(run, here, named):
    content = {"dataset": "MUSDB18", "made_from": {"model": "before", "songs": "these"}}
    write_text(here / "runs" / "first-123456789abc" / "evaluation" / "scores.json", json.dumps(content))
    result = run("compare", "base", named)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    run_folder = "runs/first-123456789abc"
    facts = (
        f"{run_folder}:",
        "other weights",
        f"python -m flows.evaluate -p {run_folder} --csv",
        f"-o {run_folder}/evaluation",
    )
    assert not lacking(result.stderr, facts), result.stderr


def test_a_runs_scores_are_its_own_by_whatever_path(here, monkeypatch):
    run = RunFolder(here / "runs" / "first-123456789abc")
    monkeypatch.chdir(run.evaluation)
    (here / "link").symlink_to(run.evaluation)
    for named in (".", "../evaluation", str(here / "link"), str(run.evaluation)):
        assert compare._scores(named, here / "runs").path.resolve() == run.evaluation
    summary = json.loads((run.evaluation / "scores.json").read_text())
    made_from = {"model": "other weights", "songs": "these"}
    (run.evaluation / "scores.json").write_text(json.dumps(summary | {"made_from": made_from}))
    for named in (".", "../evaluation", str(here / "link"), str(run.evaluation)):
        with raises(DatasetError, "weights", hint="python -m flows.evaluate") as refused:
            compare._scores(named, here / "runs")
        assert refused.value.path.resolve() == run.path


def test_a_test_set_is_known_by_its_songs(run, here):
    for name, songs in (("base", "these"), ("worse", "these"), ("others", "those")):
        write_scores(here / name, BASE)
        content = {"dataset": name, "made_from": {"model": name, "songs": songs}}
        write_text(here / name / "scores.json", json.dumps(content))
    assert "warning" not in run("compare", "base", "worse").stdout
    assert "warning: the test sets are not of the same songs" in run("compare", "base", "others").stdout


def test_a_loss_within_the_margin_passes(run, here):
    result = run("compare", "base", "worse", "--margin", 0.7)
    assert (result.returncode, result.stderr) == (0, "")
    assert "(SDR, margin 0.7 dB)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["base", "missing"], "missing: runs first-123456789abc second-123456789abc"),
        (["empty", "base"], "empty: frames.parquet"),
        (["base", "second"], ("runs/second-123456789abc:", "python -m flows.evaluate -p runs/second-123456789abc")),
        (["base", "worse", "--metric", "SDRR"], "SDRR A B SDR ISR"),
        (["base", "worse", "--confidence", "95"], ("--confidence", "95", "more than 0 to less than 1")),
        (["base", "worse", "--margin", "-1"], ("--margin", "-1", "at least 0")),
        (["base", "worse", "--resamples", "0"], ("--resamples", "0", "at least 1")),
        (["base", "worse", "--out", "a.csv"], "--out: a.csv .json .parquet"),
    ],
)
def test_a_mistake_is_one_line(run, here, arguments, facts):
    assert_is_one_line(run("compare", *arguments), facts)


def test_help_says_what_worse_means_and_waits_for_no_slow_package(here, environment):
    command = [sys.executable, "-X", "importtime", "-m", "flows.compare", "--help"]
    result = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=True)
    assert "whole confidence interval" in " ".join(result.stdout.split())
    imported = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert "cyclopts" in imported
    assert not imported & {"numpy", "pandas", "scipy", "prefect", "mlflow", "tensorflow"}
