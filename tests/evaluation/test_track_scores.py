import json

import museval
import numpy as np
import pandas as pd
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.bsseval import bss_eval
from sepcore.evaluation.sdr import sdr_frames
from sepcore.evaluation.track_scores import COLUMNS, read_track_scores, save_track_scores, score_track, write_frames
from tests.evaluation.conftest import RATE, noise


@pytest.fixture(scope="module")
def stems():
    """References and estimates by name, and the mixture; the first second of the vocals is silent."""
    references, estimates = noise()
    references[0, :RATE] = 0
    names = ("vocals", "drums")
    return dict(zip(names, references, strict=True)), dict(zip(names, estimates, strict=True)), references.sum(axis=0)


@pytest.fixture(scope="module")
def frames(stems):
    return score_track("Some one - A song", *stems, sample_rate=RATE)


def test_a_track_is_a_row_for_each_stem_and_second(stems, frames):
    assert tuple(frames.columns) == COLUMNS
    assert frames["target"].tolist() == ["vocals"] * 3 + ["drums"] * 3
    assert frames["time_s"].tolist() == [0.0, 1.0, 2.0] * 2
    true, estimated = (np.stack(list(group.values())) for group in stems[:2])
    for metric, values in zip(("SDR", "ISR", "SIR", "SAR"), bss_eval(true, estimated, RATE, RATE), strict=True):
        np.testing.assert_allclose(frames[metric], values.ravel(), rtol=0, atol=1e-6)


def test_the_untouched_mixture_is_scored_beside_the_model(stems, frames):
    references, _, mixture = stems
    expected = sdr_frames(np.stack(list(references.values())), np.stack([mixture] * 2), RATE, RATE)
    np.testing.assert_array_equal(frames["mixture_SDR"], expected.ravel())


def test_a_missing_estimate_names_track_and_stem(stems):
    references, estimates, mixture = stems
    with pytest.raises(DatasetError, match="A song: no estimate of drums"):
        score_track("A song", references, {"vocals": estimates["vocals"]}, mixture, sample_rate=RATE)


@pytest.mark.parametrize("broken", [np.full((3 * RATE, 1), np.nan), np.ones((3 * RATE, 2))])
def test_an_estimate_that_cannot_be_compared_names_the_track(stems, broken):
    references, estimates, mixture = stems
    with pytest.raises(DatasetError, match=r"^A song: "):
        score_track("A song", references, dict.fromkeys(estimates, broken), mixture, sample_rate=RATE)


def test_what_is_saved_is_read_back_to_musevals_five_digits(frames, tmp_path):
    path = save_track_scores(frames, tmp_path)
    assert path == tmp_path / "test" / "Some one - A song.json"
    pd.testing.assert_frame_equal(read_track_scores(path), frames, rtol=0, atol=0.6e-5)


def test_museval_reads_what_is_saved(frames, tmp_path):
    save_track_scores(frames, tmp_path)
    store = museval.EvalStore()
    store.add_eval_dir(tmp_path)
    medians = store.agg_frames_tracks_scores()
    assert set(medians.index.get_level_values("metric")) == {"SDR", "ISR", "SIR", "SAR"}
    for target, rows in frames.groupby("target"):
        for metric in ("SDR", "ISR", "SIR", "SAR"):
            assert medians[target][metric] == pytest.approx(rows[metric].median(), abs=1e-5)


def test_what_museval_saved_is_read_without_a_mixture_score(tmp_path):
    store = museval.TrackStore("A song")
    store.add_target("vocals", {"SDR": [1.0, np.inf], "ISR": [2.0, 2.0], "SIR": [3.0, 3.0], "SAR": [4.0, 4.0]})
    store.save(tmp_path / "A song.json")
    frames = read_track_scores(tmp_path / "A song.json")
    np.testing.assert_array_equal(frames["SDR"], [1.0, np.nan])
    assert frames["mixture_SDR"].isna().all()


@pytest.mark.parametrize("text", ["", "{}", "[]", json.dumps({"targets": [{"name": "x", "frames": [{}]}]})])
def test_another_file_is_one_line(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DatasetError, match=r"x\.json: not a museval score file"):
        read_track_scores(tmp_path / "x.json")


def test_a_track_name_with_a_slash_is_refused(frames, tmp_path):
    with pytest.raises(DatasetError, match="use no slashes"):
        save_track_scores(frames.assign(track="AC/DC"), tmp_path)


def test_the_frames_of_all_tracks_make_one_parquet_table(frames, tmp_path):
    tables = [frames.assign(track="A"), frames.assign(track="B")]
    table = write_frames(tables, tmp_path / "scores.parquet")
    assert table["track"].tolist() == ["A"] * 6 + ["B"] * 6
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "scores.parquet"), table)
