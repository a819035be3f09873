import json

import museval
import numpy as np
import pandas as pd
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.bsseval.bss_eval import bss_eval
from sepcore.evaluation.bsseval.sdr import global_scores, sdr_frames
from sepcore.evaluation.bsseval.signals import ArraySignals
from sepcore.evaluation.scores import ScoreSummary
from sepcore.evaluation.track_scores import (
    COLUMNS,
    TOTAL_COLUMNS,
    TRACK_COLUMNS,
    TrackScores,
    read_track_scores,
    save_track_scores,
    score_track,
    track_table,
    write_table,
)
from tests.evaluation.conftest import RATE, noise
from tests.evaluation.score_tables import scores_of, table
from tests.raised import raises

NAMES = ("vocals", "drums")


@pytest.fixture(scope="module")
def signals():
    """References, estimates and the mixture; the first second of the vocals is silent."""
    references, estimates = noise()
    references[0, :RATE] = 0
    return references, estimates, references.sum(axis=0, keepdims=True)


@pytest.fixture(scope="module")
def scores(signals):
    return score_track("Some one - A song", NAMES, *map(ArraySignals, signals), sample_rate=RATE)


@pytest.fixture(scope="module")
def frames(scores):
    return scores.frames


def test_a_track_is_a_row_for_each_stem_and_second(signals, frames):
    assert tuple(frames.columns) == COLUMNS
    assert frames["target"].tolist() == ["vocals"] * 3 + ["drums"] * 3
    assert frames["time_s"].tolist() == [0.0, 1.0, 2.0] * 2
    for metric, values in zip(("SDR", "ISR", "SIR", "SAR"), bss_eval(*signals[:2], RATE, RATE), strict=True):
        np.testing.assert_allclose(frames[metric], values.ravel(), rtol=0, atol=1e-6)


def test_the_untouched_mixture_is_scored_beside_the_model(signals, frames):
    references, _, mixture = signals
    expected = sdr_frames(references, np.concatenate([mixture] * 2), RATE, RATE)
    np.testing.assert_array_equal(frames["mixture_SDR"], expected.ravel())


def test_the_whole_track_is_scored_beside_its_frames(signals, scores):
    expected = global_scores(*map(ArraySignals, signals[:2]))
    assert tuple(scores.totals.columns) == TOTAL_COLUMNS
    assert scores.totals["target"].tolist() == list(NAMES)
    np.testing.assert_array_equal(scores.totals["global_SDR"], expected.global_sdr)
    np.testing.assert_array_equal(scores.totals["SI_SDR"], expected.si_sdr)


def test_a_perfect_frame_is_a_score_apart_from_none_and_nan_for_museval(signals, tmp_path):
    references, _, mixture = signals  # in the first frame the vocals are silent, so that no stem has a score
    made = score_track("A song", NAMES, *map(ArraySignals, (references, references, mixture)), sample_rate=RATE)
    path = save_track_scores(made, tmp_path)
    assert museval_store(tmp_path).df.query("metric == 'SDR'")["score"].isna().all()
    for scores in (made, read_track_scores(path)):
        assert scores.frames["SDR"].tolist() == pytest.approx([np.nan, np.inf, np.inf] * 2, nan_ok=True)
        tracks = track_table(scores)
        assert (tracks["SDR"] == np.inf).all()
        assert tracks["num_nan_frames"].tolist() == [1, 1]
        summary = ScoreSummary.from_tracks(tracks, dataset="mine")
        assert [(np.isnan(stem.sdr), stem.num_silent) for stem in summary.stems.values()] == [(True, 0)] * 2


def test_an_estimate_that_holds_nan_names_the_track(signals):
    references, estimates, mixture = signals
    broken = (references, np.full_like(estimates, np.nan), mixture)
    with raises(DatasetError, "A song", "estimates", "NaN", hint="Separate or read the track again."):
        score_track("A song", NAMES, *map(ArraySignals, broken), sample_rate=RATE)


def test_what_is_saved_is_read_back_to_musevals_five_digits(scores, tmp_path):
    path = save_track_scores(scores, tmp_path)
    assert path == tmp_path / "test" / "Some one - A song.json"
    back = read_track_scores(path)
    pd.testing.assert_frame_equal(back.frames, scores.frames, rtol=0, atol=0.6e-5)
    pd.testing.assert_frame_equal(back.totals, scores.totals, rtol=0, atol=0.6e-5)


def test_museval_reads_what_is_saved(scores, tmp_path):
    save_track_scores(scores, tmp_path)
    store = museval.EvalStore()
    store.add_eval_dir(tmp_path)
    medians = store.agg_frames_tracks_scores()
    assert set(medians.index.get_level_values("metric")) == {"SDR", "ISR", "SIR", "SAR"}
    for target, rows in scores.frames.groupby("target"):
        for metric in ("SDR", "ISR", "SIR", "SAR"):
            assert medians[target][metric] == pytest.approx(rows[metric].median(), abs=1e-5)


def test_musevals_method_store_takes_it_for_a_method_of_its_own(scores, tmp_path):
    save_track_scores(scores, tmp_path / "ours")
    store = museval.MethodStore()
    store.add_evalstore(museval_store(tmp_path / "ours"), name="ours")
    assert set(store.agg_frames_tracks_scores().index.get_level_values("method")) == {"ours"}


def museval_store(folder):
    store = museval.EvalStore()
    store.add_eval_dir(folder)
    return store


def test_what_museval_saved_is_read_without_a_mixture_score(tmp_path):
    store = museval.TrackStore("A song")
    store.add_target("vocals", {"SDR": [1.0, np.inf], "ISR": [2.0, 2.0], "SIR": [3.0, 3.0], "SAR": [4.0, 4.0]})
    store.save(tmp_path / "A song.json")
    scores = read_track_scores(tmp_path / "A song.json")
    frames = scores.frames
    np.testing.assert_array_equal(frames["SDR"], [1.0, np.nan])
    assert frames["mixture_SDR"].isna().all()
    assert scores.totals["global_SDR"].isna().all()


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"targets": [{"name": "x", "frames": [{}]}]})])
def test_another_file_is_one_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with raises(DatasetError, "museval", path=tmp_path / "x.json", hint="Delete it"):
        read_track_scores(tmp_path / "x.json")


def test_a_track_name_with_a_slash_is_refused(scores, tmp_path):
    with raises(DatasetError, "'AC/DC'", hint="slashes"):
        save_track_scores(TrackScores(scores.frames.assign(track="AC/DC"), scores.totals), tmp_path)


def test_the_frames_of_all_tracks_make_one_parquet_table(frames, tmp_path):
    tables = [frames.assign(track="A"), frames.assign(track="B")]
    written = write_table(tables, tmp_path / "scores.parquet")
    assert written["track"].tolist() == ["A"] * 6 + ["B"] * 6
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scores.parquet"), written)


def test_a_row_is_a_tracks_stem_with_medians_over_its_frames_and_the_scores_of_the_whole():
    frames = table({("B", "vocals"): [1.0, 9.0, 2.0], ("B", "bass"): [4.0, np.nan], ("A", "vocals"): [np.nan]})
    tracks = track_table(scores_of(frames))
    assert tuple(tracks.columns) == TRACK_COLUMNS
    assert tracks[["track", "target"]].to_numpy().tolist() == [["B", "vocals"], ["B", "bass"], ["A", "vocals"]]
    np.testing.assert_array_equal(tracks["SDR"], [2.0, 4.0, np.nan])
    np.testing.assert_array_equal(tracks["SAR"], [5.0, 7.0, np.nan])
    np.testing.assert_array_equal(tracks["global_SDR"], [11.0, 14.0, np.nan])
    assert tracks["num_frames"].tolist() == [3, 2, 1]
    assert tracks["num_nan_frames"].tolist() == [0, 1, 1]
