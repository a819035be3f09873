"""Spleeter's published two-stem model on real songs: its museval scores, reached by this project."""

import json

import numpy as np
import pytest

from sepcore import Separator
from sepcore.dataset.manifest import TrackRow
from sepcore.evaluation.estimates import ModelEstimates
from sepcore.evaluation.track_evaluation import evaluate_track
from sepcore.evaluation.track_scores import read_track_scores


@pytest.fixture(scope="module")
def mirror(shared, tmp_path_factory):
    """The environment of a machine that fetches models from a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_HOST", str(shared / "models"))
        patch.setenv("MODEL_PATH", str(tmp_path_factory.mktemp("models")))
        yield


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("mwf", [False, True], ids=["mask", "mwf"])
@pytest.mark.parametrize("song", ["Cristina Vane - So Easy", "The Mountaineering Club - Mallory"])
@pytest.mark.usefixtures("mirror")
def test_museval_scores_are_spleeters(song, mwf, shared, tmp_path):
    reference = json.loads((shared / "reference" / "spleeter_sdr.json").read_text())[song]["mwf" if mwf else "mask"]
    folder = shared / "clips" / song
    stems = tuple((name, folder / f"{name}.mp3") for name in ("vocals", "accompaniment"))
    row = TrackRow(song, folder / "mixture.mp3", stems, duration_s=30)
    frames = read_track_scores(evaluate_track(row, ModelEstimates(Separator("2stems", mwf=mwf)), tmp_path)).frames
    medians = frames.groupby("target")[["SDR", "ISR", "SIR", "SAR"]].median()
    for metric, scores in reference.items():
        for stem, score in scores.items():
            assert medians.loc[stem, metric] == pytest.approx(score, abs=0.05), (metric, stem)


@pytest.mark.shared
@pytest.mark.usefixtures("mirror")
def test_the_bandwidth_of_the_published_model_is_11_khz():
    separator = Separator("spleeter:2stems")
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, (44100, 2)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(separator.separate(waveform)["vocals"][:, 0]))
    assert spectrum[12_000:].max() < 1e-3 * spectrum.max()  # Hz: a second of audio
