"""The evaluation as a flow: a model's, another program's stems and baselines, and songs that cannot be scored."""

import json
from pathlib import Path

import museval
import numpy as np
import pandas as pd
import pytest
import soundfile
from prefect.testing.utilities import prefect_test_harness

from flows.evaluate import evaluate
from sepcore.dataset.synthetic import write_dataset
from sepcore.errors import SongsFailed
from sepcore.evaluation.scores import ScoreSummary

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


def test_another_programs_stems_get_musevals_scores_beside_the_baselines(musdb, estimates, tmp_path):
    out = tmp_path / "scores"
    summary = evaluate(None, out, mus_dir=musdb, estimates=estimates, baselines=("mixture", "irm"), listen=1)
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
    said = rf"^{broken}: no estimate of bass in .*\n1 of {SONGS} songs could not be scored; the others are kept"
    with pytest.raises(SongsFailed, match=said):
        evaluate(None, out, mus_dir=musdb, estimates=estimates, listen=0)
    scored = {path.stem: path.stat().st_mtime_ns for path in (out / "test").glob("*.json")}
    assert sorted(scored) == [name for name in song_names(musdb) if name != broken]
    assert json.loads((out / "scores.json").read_text())["num_tracks"] == SONGS - 1
    assert "no estimate of bass" in (out / "report.html").read_text()

    file.write_bytes(sound)
    assert evaluate(None, out, mus_dir=musdb, estimates=estimates, listen=0).num_tracks == SONGS
    after = {path.stem: path.stat().st_mtime_ns for path in (out / "test").glob("*.json")}
    assert {name: time for name, time in after.items() if name != broken} == scored


def test_where_no_song_can_be_scored_nothing_is_reported(musdb, tmp_path):
    (tmp_path / "theirs" / "test" / "another song").mkdir(parents=True)
    (tmp_path / "theirs" / "test" / "another song" / "vocals.wav").touch()
    with pytest.raises(SongsFailed, match=rf"no estimates in .*\n{SONGS} of {SONGS} songs could not be scored$"):
        evaluate(None, tmp_path / "out", mus_dir=musdb, estimates=tmp_path / "theirs")
    assert not (tmp_path / "out" / "scores.json").exists()


def test_a_model_is_scored_on_a_manifest_of_its_own_stems(model, tmp_path):
    rng = np.random.default_rng(0)
    stems = {name: rng.uniform(-0.3, 0.3, (16000, 2)) for name in ("vocals", "accompaniment")}
    for name, waveform in {**stems, "mix": sum(stems.values())}.items():
        soundfile.write(tmp_path / f"{name}.wav", waveform, 8000)
    csv = tmp_path / "test.csv"
    csv.write_text("mix_path,vocals_path,accompaniment_path,duration\nmix.wav,vocals.wav,accompaniment.wav,2\n")
    summary = evaluate(str(model), tmp_path / "out", csv=Path(csv), engine="stable")
    assert list(summary.stems) == ["vocals", "accompaniment"]
    assert "stable" in (tmp_path / "out" / "report.html").read_text()
