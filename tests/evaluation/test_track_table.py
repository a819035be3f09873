import numpy as np

from sepcore.evaluation.track_table import COLUMNS, track_table
from tests.evaluation.score_tables import scores_of, table


def test_a_row_is_a_tracks_stem_with_medians_over_its_frames_and_the_scores_of_the_whole():
    frames = table({("B", "vocals"): [1.0, 9.0, 2.0], ("B", "bass"): [4.0, np.nan], ("A", "vocals"): [np.nan]})
    tracks = track_table(scores_of(frames))
    assert tuple(tracks.columns) == COLUMNS
    assert tracks[["track", "target"]].to_numpy().tolist() == [["B", "vocals"], ["B", "bass"], ["A", "vocals"]]
    np.testing.assert_array_equal(tracks["SDR"], [2.0, 4.0, np.nan])
    np.testing.assert_array_equal(tracks["SAR"], [5.0, 7.0, np.nan])
    np.testing.assert_array_equal(tracks["global_SDR"], [11.0, 14.0, np.nan])
    assert tracks["num_frames"].tolist() == [3, 2, 1]
    assert tracks["num_nan_frames"].tolist() == [0, 1, 1]
