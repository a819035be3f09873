import json
import math

import numpy as np
import pandas as pd
import pytest

from sepcore.errors import DatasetError
from sepcore.evaluation.scores import ScoreSummary, StemScores
from sepcore.evaluation.track_scores import TRACK_COLUMNS
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
