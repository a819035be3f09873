import json
import math

import numpy as np
import pandas as pd
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.scores import ScoreSummary, StemScores, has_scores, read_score_folder
from sepcore.evaluation.track_scores import COLUMNS, TRACK_COLUMNS, save_track_scores, write_table
from tests.evaluation.score_tables import model, scores_of
from tests.raised import raises


def tracks(rows):
    """Tracks of (track, target, SDR, mixture_SDR) with one frame without a score; other metrics are the SDR plus 1…"""
    return pd.DataFrame(
        [
            (track, target, sdr, sdr + 1, sdr + 2, sdr + 3, mixture, sdr + 4, sdr + 5, 3, 1)
            for track, target, sdr, mixture in rows
        ],
        columns=list(TRACK_COLUMNS),
    )


def test_a_models_score_is_the_median_over_tracks_and_the_mean_of_global_scores():
    table = tracks([("A", "vocals", 2.0, 0.0), ("B", "vocals", 4.0, -2.0), ("C", "vocals", 30.0, -8.0)])
    summary = ScoreSummary.from_tracks(table, dataset="three songs")
    assert summary == ScoreSummary("three songs", 3, 3, {"vocals": StemScores(4.0, 5.0, 6.0, 7.0, -2.0, 16.0, 17.0)})


def test_a_track_without_a_score_of_a_stem_is_left_out_of_its_median():
    table = tracks([("A", "vocals", 1.0, 0.0), ("B", "vocals", np.nan, np.nan), ("B", "drums", 5.0, 0.0)])
    summary = ScoreSummary.from_tracks(table, dataset="x")
    assert [(name, stem.sdr) for name, stem in summary.stems.items()] == [("vocals", 1.0), ("drums", 5.0)]
    assert (summary.num_tracks, summary.num_nan_frames) == (2, 3)


def test_stems_keep_the_models_order_also_when_one_has_no_score():
    table = tracks([("A", "vocals", np.nan, np.nan), ("A", "bass", 1.0, 0.0), ("A", "drums", 2.0, 0.0)])
    summary = ScoreSummary.from_tracks(table, dataset="x")
    assert list(summary.stems) == ["vocals", "bass", "drums"]
    assert math.isnan(summary.stems["vocals"].sdr)
    assert summary.mean_sdr == 1.5


def test_a_test_set_without_tracks_is_refused():
    with raises(DatasetError, "x: no", hint="at least one song"):
        ScoreSummary.from_tracks(tracks([]), dataset="x")


def test_the_json_has_musevals_names_and_null_for_no_score():
    summary = ScoreSummary("x", 1, 2, {"vocals": StemScores(1.5, 2.0, math.nan, 4.0, -3.0, 5.0)})
    content = json.loads(summary.to_json(), parse_constant=pytest.fail)
    assert content == {
        "dataset": "x",
        "num_tracks": 1,
        "num_nan_frames": 2,
        "stems": {
            "vocals": {
                "SDR": 1.5,
                "ISR": 2.0,
                "SIR": None,
                "SAR": 4.0,
                "mixture_SDR": -3.0,
                "global_SDR": 5.0,
                "SI_SDR": None,
            }
        },
    }


def test_what_is_written_is_read_back():
    summary = ScoreSummary("x", 1, 2, {"vocals": StemScores(1.5, 2.0, math.nan, 4.0, -3.0)})
    back = ScoreSummary.from_json(summary.to_json())
    assert back.to_json() == summary.to_json()
    assert math.isnan(back.stems["vocals"].sir)


def test_a_file_of_before_has_no_scores_of_whole_tracks():
    content = json.loads(ScoreSummary("x", 1, 2, {"vocals": StemScores(1.5, 2.0, 3.0, 4.0, -3.0, 5.0)}).to_json())
    del content["stems"]["vocals"]["global_SDR"]
    assert math.isnan(ScoreSummary.from_json(json.dumps(content)).stems["vocals"].global_sdr)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"dataset": "x", "num_tracks": 1, "stems": {"vocals": {}}}'])
def test_another_file_is_one_line(text):
    with raises(DatasetError, "score file", path="here", hint="Evaluate again") as refused:
        ScoreSummary.from_json(text, "here")
    assert "\n" not in str(refused.value)


def write_json_files(folder):
    """museval's files of two tracks, where museval puts them; returns the frames."""
    frames = model(1, tracks=2).round(5)
    for _, track in frames.groupby("track"):
        save_track_scores(scores_of(track), folder)
    return frames


def test_the_table_of_frames_is_read_where_there_is_one(tmp_path):
    frames = write_table([model(1)], tmp_path / "frames.parquet")
    write_json_files(tmp_path)
    pd.testing.assert_frame_equal(read_score_folder(tmp_path).frames, frames)


def test_without_one_musevals_files_are_read(tmp_path):
    frames = write_json_files(tmp_path)
    pd.testing.assert_frame_equal(read_score_folder(tmp_path).frames, frames)


def test_files_of_another_program_may_lie_in_the_folder_itself(tmp_path):
    frames = write_json_files(tmp_path)
    (tmp_path / "scores.json").write_text('{"dataset": "x"}')
    assert has_scores(tmp_path)
    found = read_score_folder(tmp_path / "test")
    pd.testing.assert_frame_equal(found.frames, frames)
    assert found.dataset is None


def test_files_that_museval_itself_wrote_are_read(tmp_path):
    museval = pytest.importorskip("museval")
    store = museval.aggregate.TrackStore(win=1, hop=1, track_name="Song")
    values = {metric: [1.0, float("nan")] for metric in ("SDR", "ISR", "SIR", "SAR")}
    store.add_target(target_name="vocals", values=values)
    (tmp_path / "Song.json").write_text(store.json)
    found = read_score_folder(tmp_path).frames
    assert list(found.columns) == list(COLUMNS)
    assert found["SDR"].isna().tolist() == [False, True]
    assert found["mixture_SDR"].isna().all()


@pytest.mark.parametrize(
    ("text", "dataset"),
    [
        ('{"dataset": "MUSDB18", "more": 1}', "MUSDB18"),
        ("{}", None),
        ("[]", None),
        ('{"dataset": 1}', None),
        ("{", None),
    ],
)
def test_the_datasets_name_is_known_where_the_folder_says_it(tmp_path, text, dataset):
    write_json_files(tmp_path)
    (tmp_path / "scores.json").write_text(text)
    assert read_score_folder(tmp_path).dataset == dataset


def test_a_folder_that_is_not_there_or_has_no_scores_is_one_line(tmp_path):
    with raises(DatasetError, "no such folder", path=tmp_path / "missing", hint="`python -m flows.evaluate -o`"):
        read_score_folder(tmp_path / "missing")
    (tmp_path / "scores.json").write_text(json.dumps({"dataset": "x"}))
    assert not has_scores(tmp_path)
    files = "frames.parquet", "test/<track>.json", "<track>.json"
    with raises(DatasetError, *files, path=tmp_path, hint=f"python -m flows.evaluate -p MODEL … -o {tmp_path}"):
        read_score_folder(tmp_path)


@pytest.mark.parametrize("name", ["frames.parquet", "Song.json"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_text("not what it should be")
    with raises(DatasetError, path=tmp_path / name, hint="evaluate again") as refused:
        read_score_folder(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_table_of_something_else_is_refused(tmp_path):
    pd.DataFrame({"track": ["A"], "SDR": [1.0]}).to_parquet(tmp_path / "frames.parquet")
    with raises(DatasetError, "target, time_s", path=tmp_path / "frames.parquet", hint="Evaluate again"):
        read_score_folder(tmp_path)
