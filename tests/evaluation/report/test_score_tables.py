import math

import numpy as np
import pandas as pd
import pytest

from sepcore.evaluation.report.score_tables import decibels, finite_mean, stem_mean, stem_median, stem_scores

TRACKS = pd.DataFrame(
    {
        "track": ["a", "b", "c", "d", "a"],
        "target": ["vocals"] * 4 + ["bass"],
        "SDR": [1.0, 5.0, np.nan, np.inf, -np.inf],
    }
)


def test_the_median_leaves_nan_and_infinite_tracks_out():
    assert stem_scores(TRACKS, "vocals").tolist() == [1.0, 5.0]
    assert stem_median(TRACKS, "vocals") == 3.0


def test_the_mean_leaves_them_out_too():
    assert stem_mean(TRACKS.assign(SDR=[1.0, 2.0, 9.0, np.nan, 0.0]), "vocals", "SDR") == 4.0


@pytest.mark.parametrize("stem", ["bass", "no such stem"])
def test_a_stem_without_a_scored_track_has_no_median(stem):
    assert math.isnan(stem_median(TRACKS, stem))


def test_an_empty_table_has_no_median():
    assert math.isnan(stem_median(TRACKS.iloc[:0].astype(object), "vocals"))


def test_a_mean_is_taken_over_what_there_is():
    assert finite_mean([1.0, math.nan, 3.0, math.inf]) == 2.0
    assert math.isnan(finite_mean([math.nan]))


@pytest.mark.parametrize(
    ("score", "written"), [(5.126, "5.13"), (-0.5, "−0.50"), (-0.001, "0.00"), (math.nan, "–"), (-math.inf, "–")]
)
def test_a_score_is_written_with_two_decimals(score, written):
    assert decibels(score) == written
