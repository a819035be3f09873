"""The evaluation as a flow: a model's, another program's stems and baselines, and songs that cannot be scored."""

import json
import shutil

import mlflow
import museval
import numpy as np
import pandas as pd
import pytest
import soundfile
from prefect.testing.utilities import prefect_test_harness

from flows.evaluate.flow import evaluate
from flows.evaluate.options import Options
from sepcore.dataset.synthetic.dataset import write_dataset
from sepcore.errors import ConfigError, SongsFailed
from sepcore.evaluation.run_scores import run_scores
from sepcore.evaluation.scores import ScoreSummary
from sepcore.training.run_folder import RunFolder
from sepcore.training.run_record import FinishedRun
from tests.flows.test_commands import lacking
from tests.raised import raises

pytestmark = pytest.mark.slow

RATE = 22050
STEMS = ("vocals", "drums", "bass", "other")
SONGS = 2


@pytest.fixture(scope="module", autouse=True)
def server():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(scope="module")
def musdb(tmp_path_factory):
    """A set in MUSDB18-HQ's layout with two test songs of 4 s."""
    folder = tmp_path_factory.mktemp("musdb")
    songs = {"num_train": 0, "num_validation": 0, "num_test": SONGS, "duration_s": 4, "seed": 1}
    write_dataset(folder, **songs, sample_rate=RATE)
    return folder


@pytest.fixture
def estimates(musdb, tmp_path):
    """Every stem with a tenth of the mixture and some noise in it, as another program would leave it."""
    rng = np.random.default_rng(0)
    for song in sorted((musdb / "test").iterdir()):
        mixture, _ = soundfile.read(song / "mixture.wav")
        for stem in STEMS:
            true, _ = soundfile.read(song / f"{stem}.wav")
            file = tmp_path / "theirs" / "test" / song.name / f"{stem}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, true + 0.1 * mixture + 1e-3 * rng.standard_normal(true.shape), RATE, subtype="FLOAT")
    return tmp_path / "theirs"


def song_names(musdb):
    return sorted(folder.name for folder in (musdb / "test").iterdir())


def test_a_key_of_no_config_is_refused_though_no_model_is_scored(musdb, tmp_path):
    options = Options.of({"out": tmp_path, "mus_dir": musdb, "baselines": "mixture", "overrides": {"mask_extnsion": 1}})
    with raises(ConfigError, "mask_extnsion", hint="mask_extension"):
        options.check()


def test_another_programs_stems_get_musevals_scores_beside_the_baselines(musdb, estimates, tmp_path):
    out = tmp_path / "scores"
    summary = evaluate(params=None, out=out, mus_dir=musdb, estimates=estimates, baselines=("mixture", "irm"), listen=1)
    assert tuple(summary.stems) == STEMS
    assert summary.num_tracks == SONGS
    name = song_names(musdb)[-1]
    true, estimated = (
        np.stack([soundfile.read(root / "test" / name / f"{stem}.wav")[0] for stem in STEMS])
        for root in (musdb, estimates)
    )
    expected = museval.evaluate(true, estimated, win=RATE, hop=RATE)
    frames = pd.read_parquet(out / "frames.parquet").query("track == @name")
    for metric, values in zip(("SDR", "ISR", "SIR", "SAR"), expected, strict=True):
        # museval's files keep five digits; references and estimates are read as float32.
        np.testing.assert_allclose(frames[metric].to_numpy().reshape(values.shape), values, rtol=0, atol=1e-3)
    mixture = ScoreSummary.from_tracks(pd.read_parquet(out / "baselines" / "mixture" / "tracks.parquet"), dataset="x")
    ideal = ScoreSummary.from_tracks(pd.read_parquet(out / "baselines" / "irm" / "tracks.parquet"), dataset="x")
    for stem, scores in summary.stems.items():
        assert mixture.stems[stem].sdr == pytest.approx(scores.mixture_sdr, abs=1e-4)
        assert mixture.stems[stem].sdr < ideal.stems[stem].sdr
    assert summary == ScoreSummary.from_json((out / "scores.json").read_text())
    page = (out / "report.html").read_text()
    assert all(text in page for text in ("theirs", "mixture", "irm", *song_names(musdb)))
    assert len(list((out / "excerpts").iterdir())) == 1
    assert {"boxplot.png", "boxplot.svg"} <= {file.name for file in out.iterdir()}


def test_a_song_that_cannot_be_scored_stops_no_other_and_is_scored_once_mended(musdb, estimates, tmp_path):
    out, broken = tmp_path / "scores", song_names(musdb)[1]
    file = estimates / "test" / broken / "bass.wav"
    sound = file.read_bytes()
    file.unlink()
    with raises(SongsFailed) as failed:
        evaluate(params=None, out=out, mus_dir=musdb, estimates=estimates, listen=0)
    why, counted = str(failed.value).split("\n")
    assert not lacking(why, (broken, "bass", str(estimates / "test" / broken))), why
    assert not lacking(counted, (f"1 of {SONGS}", "kept")), counted
    scored = {path.stem: path.stat().st_mtime_ns for path in (out / "test").glob("*.json")}
    assert sorted(scored) == [name for name in song_names(musdb) if name != broken]
    assert json.loads((out / "scores.json").read_text())["num_tracks"] == SONGS - 1
    assert "bass.wav" in (out / "report.html").read_text()

    file.write_bytes(sound)
    assert evaluate(params=None, out=out, mus_dir=musdb, estimates=estimates, listen=0).num_tracks == SONGS
    after = {path.stem: path.stat().st_mtime_ns for path in (out / "test").glob("*.json")}
    assert {name: time for name, time in after.items() if name != broken} == scored


def test_where_no_song_can_be_scored_nothing_is_reported(musdb, tmp_path):
    (tmp_path / "theirs" / "test" / "another song").mkdir(parents=True)
    (tmp_path / "theirs" / "test" / "another song" / "vocals.wav").touch()
    with raises(SongsFailed) as failed:
        evaluate(params=None, out=tmp_path / "out", mus_dir=musdb, estimates=tmp_path / "theirs")
    *each, counted = str(failed.value).split("\n")
    assert len(each) == SONGS
    for name in song_names(musdb):
        (why,) = (line for line in each if name in line)
        assert str(tmp_path / "theirs" / "test") in why
    assert not lacking(counted, [f"{SONGS} of {SONGS}"]), counted
    assert "kept" not in counted
    assert not (tmp_path / "out" / "scores.json").exists()


def write_manifest(folder, *, accompaniment_s=2, seed=0):
    """A manifest of one song of noise."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    stems = {name: rng.uniform(-0.3, 0.3, (16000, 2)) for name in ("vocals", "accompaniment")}
    for name, waveform in {**stems, "mix": sum(stems.values())}.items():
        seconds = accompaniment_s if name == "accompaniment" else 2
        soundfile.write(folder / f"{name}.wav", np.resize(waveform, (8000 * seconds, 2)), 8000)
    csv = folder / "test.csv"
    csv.write_text("mix_path,vocals_path,accompaniment_path,duration\nmix.wav,vocals.wav,accompaniment.wav,2\n")
    return csv


def test_a_model_is_scored_on_a_manifest_of_its_own_stems(model, tmp_path):
    csv = write_manifest(tmp_path)
    summary = evaluate(params=str(model), out=tmp_path / "out", csv=csv, engine="stable")
    assert list(summary.stems) == ["vocals", "accompaniment"]
    assert "stable" in (tmp_path / "out" / "report.html").read_text()


def test_only_a_runs_own_evaluation_gives_its_scores(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = RunFolder(shutil.copytree(model, tmp_path / "run"))
    csv = write_manifest(tmp_path / "songs")
    run.finish(FinishedRun(name="mine", steps=1, dataset="abc", mlflow_run_id=None, data={"test_csv": str(csv)}))
    own = evaluate(params=str(run.path), out=run.evaluation, csv=csv, listen=0)
    kept = run.scores.read_text()
    assert ScoreSummary.from_json(kept) == own == run_scores(run).summary

    def stored():
        # By its address: MLflow keeps the one that another test of the process has set.
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        (found,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
        return found.data.metrics

    assert stored()["test_SDR_vocals"] == pytest.approx(own.stems["vocals"].sdr)
    others = write_manifest(tmp_path / "others" / "songs", seed=1)
    capsys.readouterr()
    for options, said in (
        ({"csv": csv, "mwf": True}, "the run's config separates differently"),
        ({"csv": csv, "engine": "stable"}, "--engine stable gives other scores"),
        ({"csv": others}, f"its own test set is {csv}"),
    ):
        evaluate(params=str(run.path), out=tmp_path / "out", listen=0, **options)
        assert f"not taken for the scores of {run.path}: {said}" in capsys.readouterr().out
        with raises(ConfigError, said, path=run.evaluation, hint="-o"):
            evaluate(params=str(run.path), out=run.evaluation, listen=0, **options)
    write_manifest(tmp_path / "songs", accompaniment_s=4)
    with raises(SongsFailed, "accompaniment", "4.00 s", "mixture", "2.00 s"):
        evaluate(params=str(run.path), out=tmp_path / "out", csv=csv, listen=0)
    assert run.scores.read_text() == kept
    assert stored()["test_SDR_vocals"] == pytest.approx(own.stems["vocals"].sdr)


def test_scores_go_into_no_other_runs_folders(model, tmp_path):
    mine, other = (RunFolder(shutil.copytree(model, tmp_path / name)) for name in ("mine", "other"))
    for run in (mine, other):
        run.finish(FinishedRun(name="mine", steps=1, dataset="abc", mlflow_run_id=None))
    for out in (mine.path, other.path, other.evaluation):
        with raises(ConfigError, path=out, hint="-o"):
            evaluate(params=str(mine.path), out=out, csv=write_manifest(tmp_path / "songs"))
        assert not (out / "scores.json").exists()
